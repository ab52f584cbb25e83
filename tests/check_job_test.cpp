#include "daemon/check_job.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <mutex>

#include "daemon/denied_releases.hpp"
#include "tests/job_story.hpp"

namespace mcpu::check_job_test {

namespace {

JobRequest check_request(bool deep = false) {
  JobRequest request = upgrade_request();
  request.kind = JobKind::kCheck;
  request.deep = deep;
  return request;
}

CheckSpec deep_check() {
  return {"app doctor", "app", {"doctor"}, std::chrono::seconds(10), {}, {0}, false};
}

}  // namespace

TEST_CASE("a healthy release passes, and nothing of the check is left") {
  Machine machine(installed_machine());
  const auto before = machine.picture();
  Engine engine(machine);
  const JobResult result = engine.run(check_request());
  CHECK(result.outcome == Outcome::kDone);
  CHECK(result.message ==
        "release " + release_of(machine, "1.0.0") + " is whole, and all checks passed");
  CHECK(machine.picture() == before);
  CHECK(machine.temporary_files().empty());
}

TEST_CASE("every damaged file of the current release is named, and nothing is repaired unasked") {
  Machine machine(installed_machine());
  const std::string id = release_of(machine, "1.0.0");
  damage_release(machine, id, "lib/part");
  machine.fs().remove_file(machine.layout().tree("app", id) + "/doc/same");
  const auto before = machine.picture();
  Engine engine(machine);
  const JobResult result = engine.run(check_request());
  CHECK(result.outcome == Outcome::kFailed);
  CHECK(result.message.starts_with("2 problems: "));
  const std::string problems = result.details.at("problems").dump();
  CHECK(contains(problems, "lib/part"));
  CHECK(contains(problems, "doc/same"));
  CHECK(machine.picture() == before);
}

TEST_CASE("a failing check is named with its reason, and denies nothing") {
  Machine machine(installed_machine());
  machine.check_by(
      [](const CheckRun& run) { return run.name == "app status" ? failing() : passing(); });
  Engine engine(machine);
  const JobResult result = engine.run(check_request());
  CHECK(result.outcome == Outcome::kFailed);
  CHECK(result.message == "1 problem: check 'app status' failed: exit code 1");
  CHECK(DeniedReleases(machine.fs(), machine.layout(), "app").list().empty());
  CHECK(machine.runs() == "app 1.0.0");
}

TEST_CASE("a command on PATH that was overwritten is a problem with its remedy") {
  Machine machine(installed_machine());
  machine.fs().remove_file(Machine::kLink);
  machine.write(Machine::kLink, "an old backup", 0755);
  Engine engine(machine);
  const JobResult result = engine.run(check_request());
  CHECK(result.outcome == Outcome::kFailed);
  CHECK(contains(result.message, "/usr/local/bin/app was replaced by something else"));
  CHECK(contains(result.message, "'mcpctl repair'"));
}

TEST_CASE("deep checks run only when they are asked for") {
  Machine machine(installed_machine());
  machine.app().deep_checks = {deep_check()};
  std::atomic<int> deep = 0;
  machine.check_by([&](const CheckRun& run) {
    if (run.name == "app doctor") ++deep;
    return passing();
  });
  Engine engine(machine);
  engine.run(check_request());
  CHECK(deep == 0);
  engine.run(check_request(true));
  CHECK(deep == 1);
}

TEST_CASE("checks see a copy of the home, and what they do to it is gone afterwards") {
  Machine machine(installed_machine());
  const auto before = machine.picture();
  std::mutex mutex;
  std::string home, settings;
  machine.check_by([&](const CheckRun& run) {
    const std::lock_guard lock(mutex);
    home = run.environment.at("HOME");
    settings = machine.read(home + "/" + Machine::kSettings);
    machine.write(home + "/" + Machine::kSettings, "spoiled", 0600);
    return passing();
  });
  const std::string real = machine.read(Machine::kHome + "/" + Machine::kSettings);
  machine.app().checks.resize(1);
  Engine engine(machine);
  CHECK(engine.run(check_request()).outcome == Outcome::kDone);
  CHECK(home.starts_with(machine.layout().state + "/scratch/"));
  CHECK(settings == real);
  CHECK(machine.picture() == before);
  CHECK_FALSE(machine.fs().info(home));
}

TEST_CASE("where nothing is installed there is nothing to check, and the way on is named") {
  Machine machine;
  Engine engine(machine);
  const JobResult result = engine.run(check_request());
  CHECK(result.outcome == Outcome::kRefused);
  CHECK(result.message == "nothing is installed yet: 'mcpctl upgrade' installs app");
}

TEST_CASE("a check that is cancelled leaves no scratch home") {
  Machine machine(installed_machine());
  Engine engine(machine);
  machine.check_by([&](const CheckRun&) {
    engine.cancellation.request();
    return passing();
  });
  CHECK(engine.run(check_request()).outcome == Outcome::kCancelled);
  CHECK(machine.temporary_files().empty());
}

}  // namespace mcpu::check_job_test
