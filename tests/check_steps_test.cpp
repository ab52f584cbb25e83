#include "daemon/check_steps.hpp"

#include <doctest/doctest.h>

#include <mutex>
#include <thread>

#include "daemon/denied_releases.hpp"
#include "tests/job_story.hpp"

namespace mcpu::check_steps_test {

using namespace std::chrono_literals;

namespace {

/// Remembers what was run, and answers by a script.
struct Runs {
  explicit Runs(
      Machine& machine, Machine::Check answer = [](const CheckRun&) { return passing(); }) {
    machine.check_by([this, answer = std::move(answer)](const CheckRun& run) {
      const std::lock_guard lock(mutex);
      all.push_back(run);
      return answer(run);
    });
  }
  std::mutex mutex;
  std::vector<CheckRun> all;
};

bool runs_release(const CheckRun& run, const std::string& version) {
  return contains(run.program, "/releases/" + version + "-");
}

std::vector<DeniedRelease> denied(const Machine& machine) {
  return DeniedReleases(machine.fs(), machine.layout(), "app").list();
}

/// root's checks count, those of nobody do not.
Machine with_second_user() {
  Machine machine(installed_machine());
  machine.configuration().users = {"root", "nobody"};
  machine.configuration().required_users = {"root"};
  make_directories(machine.fs(), identity_of("nobody").home, 0700);
  machine.fs().set_owner(identity_of("nobody").home, identity_of("nobody").uid,
                         identity_of("nobody").gid);
  return machine;
}

bool for_nobody(const CheckRun& run) {
  const std::string& home = run.environment.at("HOME");
  return home == identity_of("nobody").home ||
         home.ends_with("/" + std::to_string(identity_of("nobody").uid));
}

}  // namespace

TEST_CASE("a release is first run where it is staged with a copy of the home, then on PATH") {
  Machine machine(installed_machine());
  const Runs runs(machine);
  Engine engine(machine);
  REQUIRE(engine.run(upgrade_request()).outcome == Outcome::kDone);
  REQUIRE(runs.all.size() == 3);
  for (const std::size_t i : {0U, 1U}) {
    CHECK(runs_release(runs.all[i], "1.1.0"));
    CHECK(runs.all[i].environment.at("HOME").starts_with(machine.layout().state + "/scratch/"));
    CHECK(runs.all[i].directory == runs.all[i].environment.at("HOME"));
  }
  CHECK(runs.all[2].program == Machine::kLink);
  CHECK(runs.all[2].name == "app --help");
  CHECK(runs.all[2].environment.at("HOME") == Machine::kHome);
}

TEST_CASE("a check that fails once and then passes is no failure") {
  Machine machine(installed_machine());
  int failures = 0;
  const Runs runs(machine, [&](const CheckRun& run) {
    return run.name == "app status" && failures++ == 0 ? failing() : passing();
  });
  Engine engine(machine);
  CHECK(engine.run(upgrade_request()).outcome == Outcome::kDone);
  CHECK(find_event(events_of(engine), "check.repeating"));
}

TEST_CASE("what failed before this upgrade too is a warning, not a failure") {
  Machine machine(installed_machine());
  const Runs runs(machine, [](const CheckRun& run) {
    return run.name == "app status" ? failing() : passing();
  });
  Engine engine(machine);
  CHECK(engine.run(upgrade_request()).outcome == Outcome::kDone);
  const auto events = events_of(engine);
  const Event* before = find_event(events, "check.failed_before");
  REQUIRE(before);
  CHECK(before->tier == Tier::kWarning);
  CHECK(std::ranges::any_of(runs.all,
                            [](const CheckRun& run) { return runs_release(run, "1.0.0"); }));
}

TEST_CASE("what only the new release fails undoes the job and marks the release by content") {
  Machine machine(installed_machine());
  const auto before = machine.picture();
  const Runs runs(machine, [](const CheckRun& run) {
    return run.name == "app status" && runs_release(run, "1.1.0") ? failing() : passing();
  });
  Engine engine(machine);
  const JobResult result = engine.run(upgrade_request());
  CHECK(result.outcome == Outcome::kFailed);
  CHECK(result.message == "check 'app status' failed: exit code 1; everything is as it was");
  CHECK(machine.picture() == before);
  const auto marks = denied(machine);
  REQUIRE(marks.size() == 1);
  CHECK(marks[0].check == "app status");
  CHECK(marks[0].reason == "exit code 1");
}

TEST_CASE("a file that was changed while a release was tried stays, and is told of") {
  Machine machine(installed_machine());
  const std::string file = Machine::kHome + "/" + Machine::kSettings;
  machine.write(file, "before", 0640);
  const Runs runs(machine, [&](const CheckRun& run) {
    if (!runs_release(run, "1.1.0")) return passing();
    machine.write(file, "reached from the scratch home", 0640);
    return failing();
  });
  Engine engine(machine);
  const JobResult result = engine.run(upgrade_request());
  CHECK(result.outcome == Outcome::kFailed);
  CHECK(contains(result.message,
                 "everything is as it was, but for configuration files that were changed"));
  CHECK(machine.read(file) == "reached from the scratch home");
  const auto events = events_of(engine);
  const Event* told = find_event(events, "config.differs");
  REQUIRE(told);
  CHECK(told->tier == Tier::kWarning);
  CHECK(contains(told->text, Machine::kSettings));
}

TEST_CASE("a new release that fails worse than the old one is a regression") {
  Machine machine(installed_machine());
  const Runs runs(machine, [](const CheckRun& run) {
    if (run.name != "app status") return passing();
    CheckResult result = failing();
    if (runs_release(run, "1.1.0")) result.signal = 11;
    return result;
  });
  Engine engine(machine);
  CHECK(engine.run(upgrade_request()).outcome == Outcome::kFailed);
  CHECK(denied(machine).size() == 1);
}

TEST_CASE("running out of time fails the job, but the release may be tried again") {
  Machine machine(installed_machine());
  const Runs runs(machine, [](const CheckRun& run) {
    if (run.name != "app status" || !runs_release(run, "1.1.0")) return passing();
    CheckResult result = failing();
    result.timed_out = true;
    return result;
  });
  Engine engine(machine);
  CHECK(engine.run(upgrade_request()).outcome == Outcome::kFailed);
  CHECK(denied(machine).empty());
}

TEST_CASE("what must succeed in any case fails the job, and denies nothing the old one fails too") {
  Machine machine(installed_machine());
  const Runs runs(machine, [](const CheckRun& run) {
    return run.name == "app --help" ? failing() : passing();
  });
  Engine engine(machine);
  CHECK(engine.run(upgrade_request()).outcome == Outcome::kFailed);
  CHECK(denied(machine).empty());
}

TEST_CASE("on a first installation only what must succeed counts") {
  Machine machine;
  const Runs runs(machine, [](const CheckRun& run) {
    return run.name == "app status" ? failing() : passing();
  });
  Engine engine(machine);
  CHECK(engine.run(upgrade_request()).outcome == Outcome::kDone);
  CHECK(find_event(events_of(engine), "check.warning"));
  machine.check_by([](const CheckRun&) { return failing(); });
  Machine other;
  other.check_by([](const CheckRun&) { return failing(); });
  Engine second(other);
  CHECK(second.run(upgrade_request()).outcome == Outcome::kFailed);
  CHECK(other.runs().empty());
}

TEST_CASE("a user whose checks do not count is warned and vetoes nothing") {
  Machine machine(with_second_user());
  const Runs runs(machine, [](const CheckRun& run) {
    return for_nobody(run) && run.name == "app status" && runs_release(run, "1.1.0") ? failing()
                                                                                     : passing();
  });
  Engine engine(machine);
  CHECK(engine.run(upgrade_request()).outcome == Outcome::kDone);
  const auto events = events_of(engine);
  const Event* warning = find_event(events, "check.warning");
  REQUIRE(warning);
  CHECK(warning->concerns == identity_of("nobody").uid);
  CHECK(std::ranges::any_of(runs.all, for_nobody));
}

TEST_CASE("with several users the job's end names whose check failed") {
  Machine machine(with_second_user());
  const Runs runs(machine, [](const CheckRun& run) {
    return !for_nobody(run) && run.name == "app --help" ? failing() : passing();
  });
  Engine engine(machine);
  CHECK(contains(engine.run(upgrade_request()).message,
                 "check 'app --help' failed for root: exit code 1"));
  const auto events = events_of(engine);
  const Event* failed = find_event(events, "check.failed");
  REQUIRE(failed);
  CHECK(failed->fields.at("user") == "root");
  CHECK(contains(failed->text, "failed for root"));
}

TEST_CASE("an application without checks has none that take too long") {
  Machine machine(with_second_user());
  machine.app().checks.clear();
  Engine engine(machine);
  CHECK(engine.run(upgrade_request()).outcome == Outcome::kDone);
  CHECK_FALSE(find_event(events_of(engine), "check.skipped"));
}

TEST_CASE("what cut the checks is what is named") {
  for (const bool of_all : {false, true}) {
    Machine machine(with_second_user());
    machine.configuration().limits.all_checks = of_all ? 0s : 120s;
    for (CheckSpec& spec : machine.app().checks) spec.deadline = 50ms;
    const Runs runs(machine, [](const CheckRun& run) {
      if (!for_nobody(run)) return passing();
      std::this_thread::sleep_for(run.deadline);
      CheckResult late = failing();
      late.timed_out = true;
      return late;
    });
    Engine engine(machine);
    const JobResult result = engine.run(upgrade_request());
    CHECK(contains(result.message, "limits.all_checks_seconds") == of_all);
    const auto events = events_of(engine);
    const Event* skipped = find_event(events, "check.skipped");
    REQUIRE(skipped);
    CHECK(contains(skipped->text, "of nobody did not run to their end"));
    CHECK(contains(skipped->text, "limits.all_checks_seconds") == of_all);
    CHECK(contains(skipped->text, "who is not in required_users was over") != of_all);
  }
}

TEST_CASE("a full upgrade runs the deep checks before the switch, not after it") {
  Machine machine(installed_machine());
  machine.app().deep_checks = {
      {"app doctor", "app", {"doctor"}, std::chrono::seconds(10), {}, {0}, false}};
  const Runs runs(machine);
  Engine engine(machine);
  REQUIRE(engine.run(full_request()).outcome == Outcome::kDone);
  std::size_t deep = 0;
  for (const CheckRun& run : runs.all) {
    if (run.name != "app doctor") continue;
    ++deep;
    CHECK(run.program != Machine::kLink);
  }
  CHECK(deep == 1);
}

namespace {

/// Answers like Runs, but the new release overwrites one of its files when it is run on PATH.
Machine::Check spoiling(const Machine& machine, const std::string& version,
                        const std::string& file) {
  return [&machine, version, file](const CheckRun& run) {
    if (run.program == Machine::kLink) {
      machine.write(machine.layout().tree("app", release_of(machine, version)) + file, "spoilt",
                    0444);
    }
    return passing();
  };
}

}  // namespace

TEST_CASE("a release that changes its own files while it is checked is undone and denied") {
  for (const std::string file : {"/lib/part", "/bin/app", "/lib/new"}) {
    Machine machine(installed_machine());
    const auto before = machine.picture();
    machine.check_by(spoiling(machine, "1.1.0", file));
    Engine engine(machine);
    const JobResult result = engine.run(upgrade_request());
    CHECK(result.outcome == Outcome::kFailed);
    CHECK(contains(result.message, "check 'own files' failed: it changed its own files"));
    CHECK(contains(result.message, file.substr(1)));
    CHECK(contains(result.message, "; everything is as it was"));
    CHECK(machine.picture() == before);
    REQUIRE(denied(machine).size() == 1);
    CHECK(denied(machine)[0].check == "own files");
  }
}

TEST_CASE("what a release spoils of the one before through a shared file is told and remembered") {
  Machine machine(installed_machine());
  const std::string old = release_of(machine, "1.0.0");
  machine.check_by([&](const CheckRun& run) {
    if (runs_release(run, "1.1.0")) {
      const std::string file = machine.layout().tree("app", release_of(machine, "1.1.0"));
      machine.fs().open_output(file + "/doc/same")->write_at(0, "spoilt");
    }
    return passing();
  });
  Engine engine(machine);
  const JobResult result = engine.run(upgrade_request());
  CHECK(result.outcome == Outcome::kFailed);
  CHECK(contains(result.message, "but for release " + old + ", which is damaged now (doc/same"));
  CHECK(contains(result.message, "'mcpctl upgrade --to 1.0.0' stages it again"));
  CHECK_FALSE(engine.state().get()->application("app").health.at(old).passed);
}

TEST_CASE("a rollback to a release that changes its own files is undone") {
  Machine machine(upgraded_machine());
  machine.check_by(spoiling(machine, "1.0.0", "/lib/part"));
  Engine engine(machine);
  const JobResult result = engine.run(rollback_request());
  CHECK(result.outcome == Outcome::kFailed);
  CHECK(contains(result.message, "lib/part"));
  CHECK(machine.runs() == "app 1.1.0");
  CHECK(denied(machine).empty());
  const auto state = engine.state().get();
  CHECK_FALSE(state->application("app").health.at(release_of(machine, "1.0.0")).passed);
}

TEST_CASE("a release whose files were only looked at, or written as they were, may stay") {
  Machine machine(installed_machine());
  machine.check_by([&](const CheckRun& run) {
    if (run.program == Machine::kLink) {
      const std::string id = release_of(machine, "1.1.0");
      machine.write(machine.layout().tree("app", id) + "/lib/part", "part of 1.1.0", 0444);
    }
    return passing();
  });
  run_well(machine, upgrade_request());
}

}  // namespace mcpu::check_steps_test
