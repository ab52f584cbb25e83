#include "daemon/job_finisher.hpp"

#include <doctest/doctest.h>

#include "daemon/denied_releases.hpp"
#include "tests/job_story.hpp"

namespace mcpu::job_finisher_test {

namespace {

/// A job that never began a transaction, and its end.
struct Finishing {
  explicit Finishing(Machine& the_machine) : machine(the_machine), engine(machine) {
    JobRecord record;
    record.id = 5;
    record.request = upgrade_request();
    engine.records().create(record);
    engine.events().open(5);
  }
  void finish(const JobResult& result) {
    JobLog log(engine.events(), 5);
    JobFinisher(machine.tools(), engine.state(), engine.events(), Retention())
        .record_result(5, result, log);
  }

  Machine& machine;
  Engine engine;
};

}  // namespace

TEST_CASE("a job's outcome decides how its end is told") {
  struct End {
    Outcome outcome;
    Tier tier;
    const char* id;
  };
  for (const End& end : {End{Outcome::kDone, Tier::kSuccess, "job.finished"},
                         End{Outcome::kNothingToDo, Tier::kSuccess, "job.finished"},
                         End{Outcome::kFailed, Tier::kError, "job.failed"},
                         End{Outcome::kRefused, Tier::kError, "job.refused"},
                         End{Outcome::kCancelled, Tier::kWarning, "job.cancelled"},
                         End{Outcome::kExpired, Tier::kWarning, "job.expired"},
                         End{Outcome::kNotRestored, Tier::kError, "job.needs_attention"}}) {
    Machine machine;
    Finishing finishing(machine);
    finishing.finish({end.outcome, "so it ended", {}});
    const auto events = events_of(finishing.engine, 5);
    REQUIRE(events.size() == 1);
    CHECK(events[0].id == end.id);
    CHECK(events[0].tier == end.tier);
    CHECK(events[0].last);
    CHECK(contains(events[0].text, "so it ended"));
  }
}

TEST_CASE("an end that is recorded again is told once") {
  Machine machine;
  Finishing finishing(machine);
  finishing.finish({Outcome::kFailed, "first", {}});
  finishing.finish({Outcome::kFailed, "second", {}});
  CHECK(events_of(finishing.engine, 5).size() == 1);
  const auto record = finishing.engine.records().read(5);
  REQUIRE(record->result);
  CHECK(record->finished_at);
}

TEST_CASE("a record that cannot be read does not keep the end from being told") {
  Machine machine;
  Finishing finishing(machine);
  machine.write(machine.layout().job_file(5), "rubbish", 0600);
  CHECK_NOTHROW(finishing.finish({Outcome::kDone, "done", {}}));
  CHECK(events_of(finishing.engine, 5).size() == 1);
}

TEST_CASE("a commit record is read as it was written") {
  Commit commit;
  commit.result = {Outcome::kDone, "upgraded", {{"to", "1.1.0-bb"}}};
  commit.history = {12, now(), JobKind::kRollback, Mode::kFull, "a", "b", "anna"};
  commit.clear_denied = "00ff";
  commit.lines = {"from     a"};
  commit.changelog = {"- new"};
  const Commit read = commit_from_json(to_json(commit));
  CHECK(read.result.message == "upgraded");
  CHECK(read.history.by == "anna");
  CHECK(read.history.kind == JobKind::kRollback);
  CHECK(read.clear_denied == commit.clear_denied);
  CHECK(read.lines == commit.lines);
  CHECK(read.changelog == commit.changelog);
}

TEST_CASE("a commit record with something missing is corrupt, not a crash") {
  auto document = to_json(Commit());
  for (const char* key : {"result", "history", "clear_denied", "lines", "changelog"}) {
    auto damaged = document;
    damaged.erase(key);
    CHECK(error_of([&] { commit_from_json(damaged); }).code() == Code::kCorrupt);
    damaged[key] = 7;
    CHECK(error_of([&] { commit_from_json(damaged); }).code() == Code::kCorrupt);
  }
}

TEST_CASE("an upgrade is in the history once, with who asked for it") {
  Machine machine(upgraded_machine());
  Engine engine(machine);
  const auto& history = engine.state().get()->application("app").history;
  REQUIRE(history.size() == 2);
  CHECK(history[1].job == 2);
  CHECK(history[1].from == release_of(machine, "1.0.0"));
  CHECK(history[1].to == release_of(machine, "1.1.0"));
  CHECK(history[1].by == "root");
}

TEST_CASE("the history is bounded, and the newest switch is always in it") {
  Machine machine(installed_machine());
  Engine engine(machine);
  engine.state().update([](State& state) {
    auto& history = state.applications["app"].history;
    history.resize(100, history.front());
  });
  REQUIRE(engine.run(upgrade_request()).outcome == Outcome::kDone);
  const auto& history = engine.state().get()->application("app").history;
  CHECK(history.size() == 100);
  CHECK(history.back().job == 2);
}

TEST_CASE("what one rolled back from is held until one goes there again") {
  Machine machine(upgraded_machine());
  machine.offer("1.1.0");
  const std::string left = release_of(machine, "1.1.0");
  Engine engine(machine);
  REQUIRE(engine.run(rollback_request()).outcome == Outcome::kDone);
  CHECK(engine.state().get()->application("app").holds.contains(left));
  REQUIRE(engine.run(upgrade_request()).outcome == Outcome::kDone);
  CHECK(engine.state().get()->application("app").holds.empty());
}

TEST_CASE("going to a denied release by name clears its mark at the commit, not before") {
  Machine machine(installed_machine());
  const auto fails_first = [](const CheckRun& run) {
    return contains(run.program, "/1.1.0-") ? failing() : passing();
  };
  machine.check_by(fails_first);
  Engine engine(machine);
  const DeniedReleases denied(machine.fs(), machine.layout(), "app");
  JobRequest by_force = upgrade_request();
  by_force.force = true;
  REQUIRE(engine.run(upgrade_request()).outcome == Outcome::kFailed);
  REQUIRE(engine.run(by_force).outcome == Outcome::kFailed);
  CHECK(denied.list().size() == 1);
  machine.check_by([](const CheckRun&) { return passing(); });
  REQUIRE(engine.run(by_force).outcome == Outcome::kDone);
  CHECK(denied.list().empty());
}

}  // namespace mcpu::job_finisher_test
