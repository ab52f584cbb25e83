#include "daemon/state_rebuild.hpp"

#include <doctest/doctest.h>

#include "tests/job_story.hpp"

namespace mcpu::state_rebuild_test {

namespace {

/// Installed, upgraded and rolled back, then somebody removed state.json.
Machine& machine_without_state(Machine& machine, State& before) {
  run_well(machine, rollback_request(std::nullopt));
  before = *Engine(machine).state().get();
  machine.fs().remove_file(machine.layout().state_file());
  machine.fs().restart(Loss::kNothing);
  return machine;
}

}  // namespace

TEST_CASE("a state that is gone is made again from the jobs' records") {
  Machine machine(upgraded_machine());
  State before;
  Engine engine(machine_without_state(machine, before));
  const auto state = engine.state().get();
  const ApplicationState &now = state->application("app"), &then = before.application("app");
  CHECK(engine.state().damage().empty());
  CHECK(contains(engine.state().loss(), "pins"));
  CHECK(state->next_job == before.next_job);
  REQUIRE(now.history.size() == then.history.size());
  for (std::size_t i = 0; i < now.history.size(); ++i) {
    CHECK(now.history[i].job == then.history[i].job);
    CHECK(now.history[i].from == then.history[i].from);
    CHECK(now.history[i].to == then.history[i].to);
    CHECK(now.history[i].kind == then.history[i].kind);
    CHECK(now.history[i].by == then.history[i].by);
  }
  // What was rolled back from stays held: nothing unattended goes there again.
  REQUIRE(now.holds.size() == 1);
  CHECK(now.holds.begin()->first == then.holds.begin()->first);
  CHECK(now.health.size() == then.health.size());
}

TEST_CASE("a state made again is stored with the next change, and says on what is lost") {
  Machine machine(upgraded_machine());
  State before;
  machine_without_state(machine, before);
  run_well(machine, upgrade_request());
  Engine engine(machine);
  CHECK(contains(engine.state().loss(), "pins"));
  CHECK(engine.state().get()->application("app").history.size() ==
        before.application("app").history.size() + 1);
}

TEST_CASE("records that cannot be read, and jobs that changed nothing, are left out") {
  Machine machine(upgraded_machine());
  machine.break_source(Error(Code::kSource, "the source is away"));
  Engine(machine).run(upgrade_request());
  machine.write(machine.layout().job_file(1), "{", 0600);
  const State state = state_from_records(Engine(machine).records());
  const auto& history = state.application("app").history;
  REQUIRE(history.size() == 1);
  CHECK(history[0].job == 2);
  CHECK(state.next_job == 4);
}

TEST_CASE("where no job was ever run nothing is lost") {
  Machine machine;
  CHECK(Engine(machine).state().loss().empty());
}

}  // namespace mcpu::state_rebuild_test
