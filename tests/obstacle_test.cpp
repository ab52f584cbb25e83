#include "daemon/obstacle.hpp"

#include <doctest/doctest.h>

#include "tests/job_story.hpp"

namespace mcpu::obstacle_test {

namespace {

/// A machine whose application is known by a text in its program.
Machine recognizing() {
  Machine machine;
  machine.app().recognize = {"the app"};
  return machine;
}

std::string found(Machine& machine) {
  return obstacle(machine.tools(), machine.app(), machine.app().entry_points.front());
}

}  // namespace

TEST_CASE("nothing, the application itself and a link that leads nowhere are no obstacle") {
  Machine machine(recognizing());
  CHECK(found(machine).empty());
  link_durably(machine.fs(), "/src/app/bin/app", Machine::kLink);
  CHECK(found(machine).empty());
  machine.write("/src/app/bin/app", "this is the app", 0755);
  CHECK(found(machine).empty());
}

TEST_CASE("another program is one, named with the application's own setting") {
  Machine machine(recognizing());
  machine.write(Machine::kLink, "#!/bin/sh", 0755);
  CHECK(contains(found(machine), Machine::kLink + " is something else than app"));
  CHECK(contains(found(machine), "applications.app.entry_points"));
}

TEST_CASE("our own launcher is none") {
  Machine machine(installed_machine());
  machine.app().recognize = {"the app"};
  CHECK(found(machine).empty());
}

}  // namespace mcpu::obstacle_test
