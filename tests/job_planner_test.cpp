#include "daemon/job_planner.hpp"

#include <doctest/doctest.h>

#include "daemon/denied_releases.hpp"
#include "tests/job_story.hpp"

namespace mcpu::job_planner_test {

namespace {

/// A planner's view of a machine.
struct Planning {
  explicit Planning(Machine& machine) : environment(machine.environment()), engine(machine) {}

  PreparedJob prepare(const JobRequest& request) {
    state = engine.state().get();
    JobRecord record;
    record.id = 9;
    record.request = request;
    record.by = "root";
    return JobPlanner(environment, *state, log, nullptr).prepare(record);
  }
  void check(const JobRequest& request) {
    state = engine.state().get();
    JobPlanner(environment, *state, log, nullptr).check(request);
  }
  std::string refusal(const JobRequest& request) {
    const Error error = error_of([&] { prepare(request); });
    CHECK(error.code() == Code::kRefused);
    return error.what();
  }

  JobEnvironment environment;
  Engine engine;
  std::shared_ptr<const State> state;
  JobLog log;
};

bool has_step(const Plan& plan, StepKind kind) {
  return std::ranges::any_of(plan.steps, [&](const Step& step) { return step.kind == kind; });
}

JobRequest unattended() {
  JobRequest request = upgrade_request();
  request.unattended = true;
  return request;
}

JobRequest forced() {
  JobRequest request = upgrade_request();
  request.force = true;
  return request;
}

JobRequest upgrade_to(const std::string& version) {
  JobRequest request = upgrade_request();
  request.to = version;
  return request;
}

}  // namespace

TEST_CASE("an upgrade's plan names both releases, what differs, and stages what is not there") {
  Machine machine(installed_machine());
  Planning planning(machine);
  const PreparedJob job = planning.prepare(upgrade_request());
  REQUIRE_FALSE(job.early);
  CHECK(job.plan.from == release_of(machine, "1.0.0"));
  CHECK(job.plan.to.starts_with("1.1.0-"));
  CHECK(has_step(job.plan, StepKind::kStage));
  CHECK(job.changes.changed == std::vector<std::string>{"CHANGELOG.md", "bin/app", "lib/part"});
  CHECK(std::ranges::any_of(job.changelog,
                            [](const auto& line) { return contains(line, "all of 1.1.0"); }));
}

TEST_CASE("planning changes nothing on the machine") {
  Machine machine(installed_machine());
  Planning planning(machine);
  const auto calls = machine.fs().changing_calls();
  planning.prepare(upgrade_request());
  CHECK(machine.fs().changing_calls() == calls);
}

TEST_CASE("the same content again is nothing to do, unless it is forced") {
  Machine machine(installed_machine());
  machine.offer("1.0.0");
  Planning planning(machine);
  const PreparedJob again = planning.prepare(upgrade_request());
  REQUIRE(again.early);
  CHECK(again.early->outcome == Outcome::kNothingToDo);
  CHECK(again.early->message == "already up to date: " + release_of(machine, "1.0.0"));
  const PreparedJob job = planning.prepare(forced());
  CHECK_FALSE(job.early);
  CHECK_FALSE(has_step(job.plan, StepKind::kStage));
}

TEST_CASE("the same content is not up to date while the command on PATH is somebody else's") {
  Machine machine(installed_machine());
  machine.offer("1.0.0");
  machine.fs().remove_file(Machine::kLink);
  Planning planning(machine);
  const PreparedJob job = planning.prepare(upgrade_request());
  REQUIRE_FALSE(job.early);
  CHECK(has_step(job.plan, StepKind::kEntryPoints));
}

TEST_CASE("an older version is refused unless it is named or forced") {
  Machine machine(installed_machine());
  machine.offer("0.9.0");
  Planning planning(machine);
  CHECK(planning.refusal(upgrade_request()) ==
        "the source offers 0.9.0, older than the current 1.0.0: go there with --to 0.9.0 or "
        "--force");
  CHECK(planning.prepare(upgrade_to("0.9.0")).plan.to.starts_with("0.9.0-"));
  CHECK(planning.prepare(forced()).plan.to.starts_with("0.9.0-"));
}

TEST_CASE("an older version is skipped unattended, and it is said which") {
  Machine machine(installed_machine());
  machine.offer("0.9.0");
  Planning planning(machine);
  const PreparedJob skipped = planning.prepare(unattended());
  REQUIRE(skipped.early);
  CHECK(skipped.early->outcome == Outcome::kNothingToDo);
  CHECK(skipped.early->message ==
        "the source offers 0.9.0, older than the current 1.0.0: not taken unattended");
}

TEST_CASE("versions are compared as numbers, not as texts") {
  Machine machine(installed_machine());
  machine.offer("1.0.10");
  run_well(machine, upgrade_request());
  machine.offer("1.0.9");
  Planning planning(machine);
  CHECK(contains(planning.refusal(upgrade_request()), "older than the current 1.0.10"));
}

TEST_CASE("a release that failed its checks is refused with the ways on, skipped unattended") {
  Machine machine(installed_machine());
  Planning planning(machine);
  const std::string digest = planning.prepare(upgrade_request()).release->digest.hex();
  DeniedReleases denied(machine.fs(), machine.layout(), "app");
  denied.add({digest, "1.1.0-x", "1.1.0", "app status", "exit code 3", 7, now()});
  const std::string refusal = planning.refusal(upgrade_request());
  for (const char* part :
       {"failed its check 'app status' in job 7 (exit code 3)", "'mcpctl logs 7 -v'", "--force",
        "--to 1.1.0", "'mcpctl unhold 1.1.0-"}) {
    CHECK_MESSAGE(contains(refusal, part), refusal);
  }
  const PreparedJob skipped = planning.prepare(unattended());
  REQUIRE(skipped.early);
  CHECK(contains(skipped.early->message, "not tried again unattended"));
  for (const JobRequest& request : {forced(), upgrade_to("1.1.0")}) {
    CHECK(planning.prepare(request).clear_denied == digest);
  }
}

TEST_CASE("a held release is a person's to take, with a warning, and skipped unattended") {
  Machine machine(installed_machine());
  Planning planning(machine);
  const std::string id = planning.prepare(upgrade_request()).release->id;
  planning.engine.state().update([&](State& state) {
    state.applications["app"].holds[id] = {"rolled back from in job 4", now()};
  });
  const PreparedJob skipped = planning.prepare(unattended());
  REQUIRE(skipped.early);
  CHECK(skipped.early->message == "release " + id + " is held: rolled back from in job 4");
  CHECK_FALSE(planning.prepare(upgrade_request()).early);
  CHECK(std::ranges::any_of(planning.log.collected(), [](const Notice& notice) {
    return notice.id == "release.held_warning" && notice.tier == Tier::kWarning;
  }));
}

TEST_CASE("after a rollback nothing unattended takes a release that is older than the one left") {
  Machine machine(upgraded_machine());  // 1.0.0, then 1.1.0
  run_well(machine, rollback_request());
  machine.offer("1.0.5");
  {
    Planning planning(machine);
    const PreparedJob skipped = planning.prepare(unattended());
    REQUIRE(skipped.early);
    CHECK(skipped.early->outcome == Outcome::kNothingToDo);
    CHECK(contains(skipped.early->message, "rolled back from in job 3"));
    CHECK_FALSE(planning.prepare(upgrade_request()).early);
  }
  machine.offer("1.2.0");
  CHECK_FALSE(Planning(machine).prepare(unattended()).early);
}

TEST_CASE("what stood before adoption, put back by a person, is not taken over unattended") {
  Machine machine(installed_machine());
  run_well(machine, rollback_request(kBefore));
  machine.offer("2.0.0");
  Planning planning(machine);
  const PreparedJob skipped = planning.prepare(unattended());
  REQUIRE(skipped.early);
  CHECK(contains(skipped.early->message, "put back by root in job 2"));
  CHECK_FALSE(planning.prepare(upgrade_request()).early);
}

TEST_CASE("while upgrades are on hold only the unattended ones wait") {
  Machine machine(installed_machine());
  Planning planning(machine);
  planning.engine.state().update([](State& state) {
    state.applications["app"].paused = Hold{"held by anna", now()};
  });
  const PreparedJob skipped = planning.prepare(unattended());
  REQUIRE(skipped.early);
  CHECK(contains(skipped.early->message, "'mcpctl unhold' resumes them"));
  CHECK_FALSE(planning.prepare(upgrade_request()).early);
}

TEST_CASE("a source that is damaged is named, whatever its library said") {
  Machine machine(installed_machine());
  machine.break_source(Error(Code::kSource, "object not found"));
  Planning planning(machine);
  const Error error = error_of([&] { planning.prepare(upgrade_request()); });
  CHECK(error.code() == Code::kSource);
  CHECK(std::string(error.what()).starts_with("/src/app: object not found"));
}

TEST_CASE("without any source the error names the option and the setting") {
  Machine machine;
  machine.app().source.clear();
  Planning planning(machine);
  const Error error = error_of([&] { planning.check(upgrade_request()); });
  CHECK(error.code() == Code::kNoSource);
  CHECK(contains(error.what(), "--from PATH-OR-URL"));
  CHECK(contains(error.what(), "applications.app.source"));
}

TEST_CASE("a checkout linked on PATH is the source when none is configured") {
  Machine machine;
  machine.app().source.clear();
  machine.write("/src/app/bin/app", "app in a checkout", 0755);
  link_durably(machine.fs(), "/src/app/bin/app", Machine::kLink);
  Planning planning(machine);
  CHECK_NOTHROW(planning.check(upgrade_request()));
  const PreparedJob job = planning.prepare(upgrade_request());
  CHECK(job.plan.from == kBefore);
  CHECK(has_step(job.plan, StepKind::kEntryPoints));
}

TEST_CASE("an application that is not configured is not found") {
  Machine machine;
  Planning planning(machine);
  JobRequest request = upgrade_request();
  request.app = "other";
  CHECK(error_of([&] { planning.check(request); }).code() == Code::kNotFound);
}

TEST_CASE("a rollback goes to the release before, never to before adoption without being told") {
  Machine machine(upgraded_machine());
  Planning planning(machine);
  CHECK(planning.prepare(rollback_request()).plan.to == release_of(machine, "1.0.0"));
  CHECK(planning.prepare(rollback_request(kBefore)).plan.to == kBefore);

  Machine once(installed_machine());
  Planning first(once);
  const Error error = error_of([&] { first.check(rollback_request()); });
  CHECK(error.code() == Code::kNothingToRollBack);
  CHECK(contains(error.what(), "'mcpctl rollback --to before'"));
}

TEST_CASE("a rollback to where one is already is nothing to do") {
  Machine machine(upgraded_machine());
  Planning planning(machine);
  const PreparedJob job = planning.prepare(rollback_request("1.1.0"));
  REQUIRE(job.early);
  CHECK(job.early->message == "already there: " + release_of(machine, "1.1.0"));
}

TEST_CASE("a rollback to before needs an adoption") {
  Machine machine;
  Planning planning(machine);
  const Error error = error_of([&] { planning.check(rollback_request(kBefore)); });
  CHECK(error.code() == Code::kNothingToRollBack);
  CHECK(contains(error.what(), "nothing was adopted"));
}

TEST_CASE("a rollback refuses a damaged release and names the file") {
  Machine machine(upgraded_machine());
  const std::string target = release_of(machine, "1.0.0");
  damage_release(machine, target, "lib/part");
  Planning planning(machine);
  const std::string refusal = planning.refusal(rollback_request());
  CHECK(contains(refusal, "release " + target + " is damaged: lib/part"));
  CHECK(contains(refusal, "stage it again with 'mcpctl upgrade --to 1.0.0'"));
}

TEST_CASE("a stored release that is damaged is staged again under another name") {
  Machine machine(installed_machine());
  machine.offer("1.0.0");
  const std::string id = release_of(machine, "1.0.0");
  damage_release(machine, id, "lib/part");
  Planning planning(machine);
  const PreparedJob job = planning.prepare(forced());
  CHECK(job.plan.to == id + "~9");
  CHECK(has_step(job.plan, StepKind::kStage));
}

}  // namespace mcpu::job_planner_test
