#include <doctest/doctest.h>

#include <cstdlib>

#include "daemon/durable.hpp"
#include "tests/job_story.hpp"

namespace mcpu::stale_steps_test {

namespace {

const std::string kStale = Machine::kHome + "/bin/app";

/// A checkout was adopted, and an old link into it is left in the home. 1.1.0 is offered.
const Machine& with_stale_link() {
  static const Machine machine = [] {
    Machine one;
    one.write("/src/app/bin/app", "app in a checkout", 0755);
    link_durably(one.fs(), "/src/app/bin/app", Machine::kLink);
    run_well(one, upgrade_request());
    make_directories(one.fs(), parent_path(kStale), 0755);
    link_durably(one.fs(), "/src/app/bin/app", kStale);
    one.offer("1.1.0");
    one.fs().restart(Loss::kNothing);
    return one;
  }();
  return machine;
}

}  // namespace

TEST_CASE("a full upgrade removes an old link into the checkout and says so to its owner") {
  Machine machine(with_stale_link());
  Engine engine(machine);
  REQUIRE(engine.run(full_request()).outcome == Outcome::kDone);
  CHECK_FALSE(machine.fs().info(kStale));
  CHECK(machine.runs() == "app 1.1.0");
  const auto events = events_of(engine);
  const Event* removed = find_event(events, "stale.removed");
  REQUIRE(removed);
  CHECK(contains(removed->text, kStale));
  CHECK(removed->concerns == 0U);
}

TEST_CASE("a quick upgrade leaves old links alone") {
  Machine machine(with_stale_link());
  run_well(machine, upgrade_request());
  CHECK(machine.fs().info(kStale));
}

TEST_CASE("links that lead elsewhere and files of the same name are nobody's old installation") {
  Machine machine(with_stale_link());
  link_durably(machine.fs(), "/opt/other/bin/app", kStale);
  machine.write(Machine::kHome + "/.local/bin/app", "app in a checkout", 0755);
  run_well(machine, full_request());
  CHECK(machine.fs().read_link(kStale) == "/opt/other/bin/app");
  CHECK(machine.read(Machine::kHome + "/.local/bin/app") == "app in a checkout");
}

TEST_CASE("a job that is cancelled after it puts the old link back") {
  Machine machine(with_stale_link());
  const auto before = machine.picture();
  Engine engine(machine);
  engine.on_commit = [&] {
    CHECK_FALSE(machine.fs().info(kStale));
    engine.cancellation.request();
  };
  CHECK(engine.run(full_request()).outcome == Outcome::kCancelled);
  CHECK(machine.picture() == before);
  CHECK(machine.fs().read_link(kStale) == "/src/app/bin/app");
}

TEST_CASE("a full upgrade that is stopped anywhere has the old link or the new release") {
  const Ordeal ordeal{with_stale_link(), full_request(), 2};
  for (const Loss loss : {Loss::kNothing, Loss::kUnsynced}) {
    CHECK(stop_everywhere(ordeal, loss, {}, 1, std::getenv("MCPU_EXHAUSTIVE") ? 1 : 11) > 5);
  }
}

TEST_CASE("a copy that pip installed is named with the line that removes it, and not touched") {
  Machine machine(with_stale_link());
  machine.app().recognize = {"app"};
  const std::string prefix = Machine::kHome + "/.local/";
  machine.write(prefix + "bin/app", "from app_code import main", 0755);
  machine.write(prefix + "lib/python3.11/site-packages/app_code/main.py", "an app");
  machine.write(prefix + "lib/python3.11/site-packages/my_app-1.2.dist-info/RECORD",
                "../../../bin/app,sha256=x,9\napp_code/main.py,sha256=y,6\n");
  Engine engine(machine);
  REQUIRE(engine.run(full_request()).outcome == Outcome::kDone);
  const auto events = events_of(engine);
  const Event* copy = find_event(events, "stale.copy");
  REQUIRE(copy);
  CHECK(copy->tier == Tier::kWarning);
  CHECK(copy->concerns == 0U);
  CHECK(contains(copy->text, "my_app 1.2"));
  CHECK(contains(copy->text, "'python3.11 -m pip uninstall my_app'"));
  CHECK(machine.fs().info(prefix + "bin/app"));
}

}  // namespace mcpu::stale_steps_test
