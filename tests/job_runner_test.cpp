#include "daemon/job_runner.hpp"

#include <doctest/doctest.h>

#include <cerrno>

#include "daemon/denied_releases.hpp"
#include "tests/job_story.hpp"

namespace mcpu::job_runner_test {

TEST_CASE("a source that fails is the job's result, and nothing was changed") {
  Machine machine(installed_machine());
  const auto before = machine.picture();
  machine.break_source(Error(Code::kSource, "object not found"));
  Engine engine(machine);
  const JobResult result = engine.run(upgrade_request());
  CHECK(result.outcome == Outcome::kFailed);
  CHECK(contains(result.message, "/src/app: object not found"));
  CHECK(result.details.at("error") == code_name(Code::kSource));
  CHECK(machine.picture() == before);
  CHECK_FALSE(machine.fs().info(machine.layout().journal()));
}

TEST_CASE("what is refused leaves neither journal nor snapshot") {
  Machine machine(installed_machine());
  machine.offer("0.9.0");
  const auto before = machine.picture();
  Engine engine(machine);
  const JobResult result = engine.run(upgrade_request());
  CHECK(result.outcome == Outcome::kRefused);
  CHECK(events_of(engine).back().id == "job.refused");
  CHECK(machine.picture() == before);
  CHECK_FALSE(machine.fs().info(machine.layout().journal()));
  CHECK_FALSE(machine.fs().info(machine.layout().snapshot(2)));
}

TEST_CASE("a preflight that refuses comes before anything is staged") {
  Machine machine(installed_machine());
  machine.fs().set_space({.free_bytes = 1 << 20, .read_only = false, .no_exec = false});
  Engine engine(machine);
  CHECK(engine.run(upgrade_request()).outcome == Outcome::kRefused);
  CHECK(machine.store().list().size() == 1);
}

TEST_CASE("a job that fails later than at its preflight is a failure, never a refusal") {
  Machine machine(installed_machine());
  machine.fs().set_owner(Machine::kHome + "/" + Machine::kSettings, 12345, 12345);
  Engine engine(machine);
  CHECK(engine.run(upgrade_request()).outcome == Outcome::kFailed);
}

TEST_CASE("the newest release is remembered for status, also when nothing is done with it") {
  Machine machine(installed_machine());
  machine.offer("1.0.0");
  Engine engine(machine);
  REQUIRE(engine.run(upgrade_request()).outcome == Outcome::kNothingToDo);
  REQUIRE(engine.state().get()->application("app").newest);
  CHECK(engine.state().get()->application("app").newest->version == "1.0.0");
}

TEST_CASE("a refused job looked the newest release up as well") {
  Machine machine(upgraded_machine());
  machine.offer("1.0.5");
  Engine engine(machine);
  REQUIRE(engine.run(upgrade_request()).outcome == Outcome::kRefused);
  CHECK(engine.state().get()->application("app").newest->version == "1.0.5");
}

TEST_CASE("what another source offers says nothing about the newest release") {
  Machine machine(installed_machine());
  Engine engine(machine);
  JobRequest request = upgrade_request();
  request.from = "/src/else";
  make_directories(machine.fs(), *request.from, 0755);
  REQUIRE(engine.run(request).outcome == Outcome::kDone);
  CHECK(engine.state().get()->application("app").newest->version == "1.0.0");
}

TEST_CASE("a mistake in the code is a failed job that is undone, not a dead daemon") {
  Machine machine(installed_machine());
  const auto before = machine.picture();
  Engine engine(machine);
  engine.on_commit = [] { throw std::logic_error("unthinkable"); };
  const JobResult result = engine.run(upgrade_request());
  CHECK(result.outcome == Outcome::kFailed);
  CHECK(contains(result.message, "a mistake in the daemon: unthinkable"));
  CHECK(machine.picture() == before);
}

TEST_CASE("a mistake in the code denies no release") {
  Machine machine(installed_machine());
  Engine engine(machine);
  engine.on_commit = [] { throw std::logic_error("unthinkable"); };
  engine.run(upgrade_request());
  CHECK(DeniedReleases(machine.fs(), machine.layout(), "app").list().empty());
}

TEST_CASE("events tell the phases in their order, and the result comes last") {
  Machine machine(installed_machine());
  Engine engine(machine);
  REQUIRE(engine.run(upgrade_request()).outcome == Outcome::kDone);
  std::vector<Phase> phases;
  for (const Event& event : events_of(engine)) {
    if (phases.empty() || phases.back() != event.phase) phases.push_back(event.phase);
  }
  CHECK(phases == std::vector<Phase>{Phase::kResolve, Phase::kPreflight, Phase::kStage,
                                     Phase::kSnapshot, Phase::kMidCheck, Phase::kActivate,
                                     Phase::kPostCheck, Phase::kCommit, Phase::kPrune});
  CHECK(events_of(engine).back().id == "job.finished");
}

}  // namespace mcpu::job_runner_test
