#include "daemon/steps.hpp"

#include <doctest/doctest.h>

#include "tests/job_story.hpp"

namespace mcpu::steps_test {

namespace {

/// A job on a machine of which single steps are done and undone.
struct Stepping {
  explicit Stepping(Machine& machine) : engine(machine) {
    plan.job = 9;
    plan.app = "app";
    plan.entry_points = machine.app().entry_points;
    plan.files = machine.app().files;
    plan.users = {{identity_of("root"), true}};
    context.emplace(machine.tools(), plan, log);
    context->running.app = &machine.app();
    context->note = [this](const nlohmann::json& note) { trace.notes.push_back(note); };
  }

  void apply(StepKind kind, nlohmann::json arguments = nlohmann::json::object()) {
    apply_step({kind, std::move(arguments), std::chrono::seconds(10)}, *context);
  }
  void undo(StepKind kind, nlohmann::json arguments = nlohmann::json::object()) {
    undo_step({kind, std::move(arguments), std::chrono::seconds(10)}, *context, trace);
  }

  Engine engine;
  Plan plan;
  JobLog log;
  StepTrace trace;
  std::optional<StepContext> context;
};

}  // namespace

TEST_CASE("a switch that is undone, however often, leads to the release before") {
  Machine machine(upgraded_machine());
  const std::string old = release_of(machine, "1.0.0"), present = release_of(machine, "1.1.0");
  Stepping stepping(machine);
  const nlohmann::json arguments{{"from", present}, {"to", old}};
  stepping.apply(StepKind::kActivate, arguments);
  CHECK(machine.runs() == "app 1.0.0");
  stepping.undo(StepKind::kActivate, arguments);
  stepping.undo(StepKind::kActivate, arguments);
  CHECK(machine.runs() == "app 1.1.0");
}

TEST_CASE("undoing a first switch leaves no link to a current release") {
  Machine machine(upgraded_machine());
  const std::string present = release_of(machine, "1.1.0");
  Stepping stepping(machine);
  stepping.undo(StepKind::kActivate, {{"from", ""}, {"to", present}});
  CHECK_FALSE(machine.store().current());
}

TEST_CASE("a snapshot that is undone leaves nothing behind") {
  Machine machine(installed_machine());
  const auto before = machine.picture();
  Stepping stepping(machine);
  stepping.apply(StepKind::kSnapshot);
  CHECK(machine.fs().info(machine.layout().snapshot(9)));
  stepping.undo(StepKind::kSnapshot);
  stepping.undo(StepKind::kSnapshot);
  CHECK_FALSE(machine.fs().info(machine.layout().snapshot(9)));
  CHECK(machine.picture() == before);
}

TEST_CASE("while a home is away what works on homes waits, and the rest is undone") {
  Machine machine(upgraded_machine());
  const std::string old = release_of(machine, "1.0.0"), present = release_of(machine, "1.1.0");
  Stepping stepping(machine);
  stepping.context->away[0] = "the home of root is not mounted";
  for (const StepKind kind :
       {StepKind::kSnapshot, StepKind::kPostCheck, StepKind::kRestart, StepKind::kRestoreConfigs}) {
    const Error error = error_of([&] { stepping.undo(kind); });
    CHECK(error.code() == Code::kBusy);
    CHECK(std::string(error.what()) == "the home of root is not mounted");
  }
  stepping.undo(StepKind::kActivate, {{"from", old}, {"to", present}});
  CHECK(machine.runs() == "app 1.0.0");
  CHECK_NOTHROW(stepping.undo(StepKind::kMidCheck));
}

TEST_CASE("a user whose home is left out is not among those a job works for") {
  Machine machine(installed_machine());
  Stepping stepping(machine);
  REQUIRE(stepping.context->active_users().size() == 1);
  stepping.context->skipped.insert(0);
  CHECK(stepping.context->active_users().empty());
}

}  // namespace mcpu::steps_test
