#include <doctest/doctest.h>

#include "daemon/durable.hpp"
#include "tests/job_story.hpp"

namespace mcpu::release_steps_test {

namespace {

/// A checkout is linked on PATH, 1.0.0 is offered.
Machine with_checkout() {
  Machine machine;
  machine.write("/src/app/bin/app", "app in a checkout", 0755);
  link_durably(machine.fs(), "/src/app/bin/app", Machine::kLink);
  return machine;
}

}  // namespace

TEST_CASE("an adoption says what stood there, and that pulling alone changes nothing any more") {
  Machine machine(with_checkout());
  Engine engine(machine);
  REQUIRE(engine.run(upgrade_request()).outcome == Outcome::kDone);
  const auto events = events_of(engine);
  const Event* entry = find_event(events, "adopt.entry");
  REQUIRE(entry);
  CHECK(contains(entry->text, "/usr/local/bin/app"));
  CHECK(contains(entry->text, "a link to /src/app/bin/app"));
  const Event* notice = find_event(events, "adopt.notice");
  REQUIRE(notice);
  CHECK(contains(notice->text, "/src/app"));
}

TEST_CASE("only the first adoption tells of the checkout") {
  Machine machine(with_checkout());
  run_well(machine, upgrade_request());
  machine.offer("1.1.0");
  Engine engine(machine);
  REQUIRE(engine.run(upgrade_request()).outcome == Outcome::kDone);
  CHECK_FALSE(find_event(events_of(engine), "adopt.notice"));
}

TEST_CASE("an adoption that fails puts the link into the checkout back") {
  Machine machine(with_checkout());
  const auto before = machine.picture();
  machine.check_by(
      [](const CheckRun& run) { return run.program == Machine::kLink ? failing() : passing(); });
  Engine engine(machine);
  CHECK(engine.run(upgrade_request()).outcome == Outcome::kFailed);
  CHECK(machine.picture() == before);
  CHECK(machine.runs() == "app in a checkout");
}

TEST_CASE("what somebody puts on PATH during a job is left alone by its undo, and named") {
  Machine machine(with_checkout());
  machine.check_by([&](const CheckRun& run) {
    if (run.program != Machine::kLink) return passing();
    machine.write(Machine::kLink, "somebody's own", 0755);
    return failing();
  });
  Engine engine(machine);
  CHECK(engine.run(upgrade_request()).outcome == Outcome::kFailed);
  CHECK(machine.read(Machine::kLink) == "somebody's own");
  const auto events = events_of(engine);
  const Event* left = find_event(events, "adopt.left_alone");
  REQUIRE(left);
  CHECK(left->tier == Tier::kWarning);
  CHECK(contains(left->text, Machine::kLink));
}

TEST_CASE("a rollback to before can itself be rolled back") {
  Machine machine(with_checkout());
  run_well(machine, upgrade_request());
  run_well(machine, rollback_request(kBefore));
  CHECK(machine.runs() == "app in a checkout");
  run_well(machine, rollback_request("1.0.0"));
  CHECK(machine.runs() == "app 1.0.0");
}

TEST_CASE("a rollback to before brings back a plain file as it was, mode and owner included") {
  Machine machine;
  machine.write(Machine::kLink, "a single file", 0750);
  machine.fs().set_owner(Machine::kLink, 7, 8);
  run_well(machine, upgrade_request());
  run_well(machine, rollback_request(kBefore));
  CHECK(machine.read(Machine::kLink) == "a single file");
  const auto info = machine.fs().info(Machine::kLink);
  CHECK(info->mode == 0750);
  CHECK(info->uid == 7);
  CHECK(info->gid == 8);
}

TEST_CASE("staging says how much was new") {
  Machine machine(installed_machine());
  Engine engine(machine);
  REQUIRE(engine.run(upgrade_request()).outcome == Outcome::kDone);
  const auto events = events_of(engine);
  const Event* staged = find_event(events, "stage.done");
  REQUIRE(staged);
  CHECK(staged->fields.at("files") == 4);
  CHECK(staged->fields.at("changed") == 3);
}

TEST_CASE("a release that is stored already is not staged again") {
  Machine machine(upgraded_machine());
  machine.offer("1.0.0");
  Engine engine(machine);
  JobRequest request = upgrade_request();
  request.force = true;
  REQUIRE(engine.run(request).outcome == Outcome::kDone);
  CHECK(find_event(events_of(engine), "stage.exists"));
  CHECK(machine.store().list().size() == 2);
  CHECK(machine.runs() == "app 1.0.0");
}

TEST_CASE("a cancel during staging leaves nothing of the release") {
  Machine machine(installed_machine());
  const auto before = machine.picture();
  Engine engine(machine);
  engine.cancellation.request();
  CHECK(engine.run(upgrade_request()).outcome == Outcome::kCancelled);
  CHECK(machine.picture() == before);
  CHECK(machine.store().list().size() == 1);
}

}  // namespace mcpu::release_steps_test
