#include <doctest/doctest.h>

#include "tests/job_story.hpp"

namespace mcpu::config_steps_test {

namespace {

const std::string kFile = Machine::kHome + "/" + Machine::kSettings;
const std::string kKeys = Machine::kHome + "/.app/keys.toml";
const std::string kAbsent = Machine::kHome + "/.app/absent";

/// An upgrade to 1.1.0 whose release changes one file and makes another, in the real home only.
Machine after_upgrade_that_writes() {
  Machine machine(installed_machine());
  machine.write(kFile, "mine, before", 0640);
  machine.check_by([&](const CheckRun& run) {
    if (run.program == Machine::kLink) {
      machine.write(kFile, "written by 1.1.0", 0640);
      machine.write(kAbsent, "made by 1.1.0", 0600);
    }
    return passing();
  });
  run_well(machine, upgrade_request());
  machine.check_by([](const CheckRun&) { return passing(); });
  return machine;
}

JobResult roll_back(Machine& machine, ConfigPolicy policy = ConfigPolicy::kAuto) {
  JobRequest request = rollback_request();
  request.configs = policy;
  return run_well(machine, request);
}

}  // namespace

TEST_CASE("a rollback puts back what the release changed and removes what it made") {
  Machine machine(after_upgrade_that_writes());
  roll_back(machine);
  CHECK(machine.runs() == "app 1.0.0");
  CHECK(machine.read(kFile) == "mine, before");
  CHECK_FALSE(machine.fs().info(kAbsent));
}

TEST_CASE("a rollback leaves a file that somebody edited since, and says so") {
  Machine machine(after_upgrade_that_writes());
  machine.write(kFile, "edited by anna", 0640);
  Engine engine(machine);
  REQUIRE(engine.run(rollback_request()).outcome == Outcome::kDone);
  CHECK(machine.read(kFile) == "edited by anna");
  CHECK_FALSE(machine.fs().info(kAbsent));
  const auto events = events_of(engine);
  const Event* kept = find_event(events, "config.kept");
  REQUIRE(kept);
  CHECK(kept->tier == Tier::kWarning);
  CHECK(contains(kept->text, Machine::kSettings));
  CHECK(contains(kept->text, "edited after the upgrade"));
}

TEST_CASE("a file that no release touched stays as it is, whatever happens") {
  Machine machine(after_upgrade_that_writes());
  machine.write(kKeys, "keys = [1]", 0600);
  roll_back(machine);
  CHECK(machine.read(kKeys) == "keys = [1]");
}

TEST_CASE("what a person puts back with 'always' replaces edits, and the edit comes back with it") {
  Machine machine(after_upgrade_that_writes());
  machine.write(kFile, "edited by anna", 0640);
  roll_back(machine, ConfigPolicy::kAlways);
  CHECK(machine.read(kFile) == "mine, before");
  roll_back(machine, ConfigPolicy::kAlways);
  CHECK(machine.runs() == "app 1.1.0");
  CHECK(machine.read(kFile) == "edited by anna");
}

TEST_CASE("with 'never' a rollback touches no file of a home") {
  Machine machine(after_upgrade_that_writes());
  roll_back(machine, ConfigPolicy::kNever);
  CHECK(machine.runs() == "app 1.0.0");
  CHECK(machine.read(kFile) == "written by 1.1.0");
  CHECK(machine.read(kAbsent) == "made by 1.1.0");
}

TEST_CASE("a file that was closed since the upgrade is not opened again by a rollback") {
  Machine machine(after_upgrade_that_writes());
  machine.fs().set_mode(kFile, 0600);
  roll_back(machine);
  CHECK(machine.read(kFile) == "mine, before");
  CHECK(machine.fs().info(kFile)->mode == 0600);
}

TEST_CASE("a mode that a release set goes back with it, one that somebody set does not") {
  Machine machine(installed_machine());
  machine.write(kFile, "mine", 0600);
  machine.check_by([&](const CheckRun& run) {
    if (run.program == Machine::kLink) machine.fs().set_mode(kFile, 0666);
    return passing();
  });
  run_well(machine, upgrade_request());
  machine.check_by([](const CheckRun&) { return passing(); });
  REQUIRE(machine.fs().info(kFile)->mode == 0666);
  Machine closed(machine);
  roll_back(machine);
  CHECK(machine.fs().info(kFile)->mode == 0600);
  closed.fs().set_mode(kFile, 0400);
  roll_back(closed);
  CHECK(closed.fs().info(kFile)->mode == 0400);
}

TEST_CASE("a rollback over two upgrades goes back to the file before both") {
  Machine machine(after_upgrade_that_writes());
  machine.offer("1.2.0");
  machine.check_by([&](const CheckRun& run) {
    if (run.program == Machine::kLink) machine.write(kFile, "written by 1.2.0", 0640);
    return passing();
  });
  run_well(machine, upgrade_request());
  machine.check_by([](const CheckRun&) { return passing(); });
  run_well(machine, rollback_request("1.0.0"));
  CHECK(machine.read(kFile) == "mine, before");
}

TEST_CASE("a rollback that fails leaves the files as it found them") {
  Machine machine(after_upgrade_that_writes());
  const auto before = machine.picture();
  machine.check_by(
      [](const CheckRun& run) { return run.program == Machine::kLink ? failing() : passing(); });
  Engine engine(machine);
  CHECK(engine.run(rollback_request()).outcome == Outcome::kFailed);
  CHECK(machine.picture() == before);
}

TEST_CASE("somebody else's file in a home stops the job of a user who counts, and is named") {
  Machine machine(installed_machine());
  machine.fs().set_owner(kFile, 12345, 12345);
  const auto before = machine.picture();
  Engine engine(machine);
  const JobResult result = engine.run(upgrade_request());
  CHECK(result.outcome == Outcome::kFailed);
  CHECK(contains(result.message, "~/" + Machine::kSettings + " of root cannot be kept safe"));
  CHECK(contains(result.message, "put a copy in its place"));
  CHECK(machine.picture() == before);
}

TEST_CASE("the same in a home that does not count leaves that home out, untouched and unchecked") {
  Machine machine(installed_machine());
  const Identity nobody = identity_of("nobody");
  machine.configuration().users = {"root", "nobody"};
  machine.configuration().required_users = {"root"};
  machine.write(nobody.home + "/" + Machine::kSettings, "root's", 0600);
  machine.fs().set_owner(nobody.home, nobody.uid, nobody.gid);
  bool checked = false;
  machine.check_by([&](const CheckRun& run) {
    const std::string& home = run.environment.at("HOME");
    checked = checked || home.ends_with("/" + std::to_string(nobody.uid)) || home == nobody.home;
    return passing();
  });
  Engine engine(machine);
  CHECK(engine.run(upgrade_request()).outcome == Outcome::kDone);
  CHECK_FALSE(checked);
  const auto events = events_of(engine);
  const Event* skipped = find_event(events, "snapshot.skipped");
  REQUIRE(skipped);
  CHECK(skipped->concerns == nobody.uid);
  CHECK(machine.read(nobody.home + "/" + Machine::kSettings) == "root's");
}

}  // namespace mcpu::config_steps_test
