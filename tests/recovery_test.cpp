#include "daemon/recovery.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "tests/engine_fixture.hpp"

namespace mcpu::recovery_test {

namespace {

/// 1.0.0 and 1.1.0 are installed, 1.2.0 is offered.
const Machine& upgraded() {
  static const Machine machine = [] {
    Machine one;
    run_well(one, upgrade_request());
    one.offer("1.1.0");
    run_well(one, upgrade_request());
    one.offer("1.2.0");
    one.fs().restart(Loss::kNothing);
    return one;
  }();
  return machine;
}

/// A checkout is linked on PATH, 1.0.0 is offered.
const Machine& with_checkout() {
  static const Machine machine = [] {
    Machine one;
    one.write("/src/app/bin/app", "app in a checkout", 0755);
    link_durably(one.fs(), "/src/app/bin/app", Machine::kLink);
    one.fs().restart(Loss::kNothing);
    return one;
  }();
  return machine;
}

/// The checkout was adopted.
const Machine& adopted() {
  static const Machine machine = [] {
    Machine one(with_checkout());
    run_well(one, upgrade_request());
    one.fs().restart(Loss::kNothing);
    return one;
  }();
  return machine;
}

/// A job that must be possible whatever was recovered.
void upgrade_on(Machine& machine) {
  machine.fs().restart(Loss::kNothing);
  machine.offer("2.0.0");
  run_well(machine, upgrade_request());
  CHECK(machine.runs() == "app 2.0.0");
}

void stop_and_cut_everywhere(const Ordeal& ordeal) {
  // A sample, so that this takes a second (also under a sanitizer); MCPU_EXHAUSTIVE=1 leaves
  // nothing out.
  const std::uint64_t sample = std::getenv("MCPU_SANITIZED") ? 67 : 11;
  const std::uint64_t stride = std::getenv("MCPU_EXHAUSTIVE") ? 1 : sample;
  for (const Loss loss : {Loss::kNothing, Loss::kUnsynced}) {
    const std::uint64_t first = stride == 1 || loss == Loss::kNothing ? 1 : stride / 2;
    CHECK(stop_everywhere(ordeal, loss, upgrade_on, first, stride) > 50 / stride);
  }
}

}  // namespace

TEST_CASE("a quick upgrade that is stopped anywhere is old or new after the next start") {
  Machine machine(upgraded());
  machine.configuration().retention = {1, 1};  // something is pruned, too
  stop_and_cut_everywhere({machine, upgrade_request(), 3});
}

TEST_CASE("an adoption that is stopped anywhere is old or new after the next start") {
  stop_and_cut_everywhere({with_checkout(), upgrade_request(), 1});
}

TEST_CASE("a first installation that is stopped anywhere is old or new after the next start") {
  const Machine machine;
  machine.fs().restart(Loss::kNothing);
  stop_and_cut_everywhere({machine, upgrade_request(), 1});
}

TEST_CASE("a rollback that is stopped anywhere is old or new after the next start") {
  stop_and_cut_everywhere({upgraded(), rollback_request(), 3});
}

TEST_CASE("a rollback to before that is stopped anywhere is old or new after the next start") {
  stop_and_cut_everywhere({adopted(), rollback_request(kBefore), 2});
}

TEST_CASE("a recovery that is stopped anywhere goes on at the next start") {
  const Ordeal ordeal{upgraded(), upgrade_request(), 3};
  const std::uint64_t calls = Alternatives(ordeal).calls();
  const std::uint64_t sample = std::getenv("MCPU_SANITIZED") ? calls / 2 : calls / 4;
  const std::uint64_t stride = std::getenv("MCPU_EXHAUSTIVE") ? 5 : sample;
  // Events are stored in groups, so that the number of calls differs a little from run to run.
  for (std::uint64_t call = stride; call <= calls * 3 / 4; call += stride) {
    CHECK(stop_recovery_everywhere(ordeal, call, Loss::kUnsynced) > 0);
  }
}

TEST_CASE("a job that was stopped before its first step says so") {
  const Ordeal ordeal{upgraded(), upgrade_request(), 3};
  // Events are stored by a thread of their own: which call is the first behind the journal's making
  // differs a little from run to run.
  for (int attempt = 1, call = 1; attempt <= 20; ++call) {
    Machine machine(upgraded());
    REQUIRE_FALSE(
        run_until_stopped(machine, ordeal, static_cast<std::uint64_t>(call), Loss::kNothing)
            .empty());
    if (!machine.fs().info(machine.layout().journal())) continue;
    Engine engine(machine);
    REQUIRE(engine.recover());
    const std::string message = engine.records().read(3)->result->message;
    if (message.find("in the middle of step 'begin'") != std::string::npos) return;
    ++attempt;
    call = std::max(0, call - 4);
  }
  FAIL("it was never stopped right behind the journal's making");
}

TEST_CASE("a home that cannot be reached leaves the recovery pending, and nothing else undone") {
  Machine machine(upgraded());
  const Ordeal ordeal{machine, upgrade_request(), 3};
  const Alternatives alternatives(ordeal);
  const std::uint64_t late = alternatives.calls() * 2 / 3;
  REQUIRE_FALSE(run_until_stopped(machine, ordeal, late, Loss::kNothing).empty());
  machine.fs().rename(Machine::kHome, "/elsewhere");
  {
    Engine engine(machine);
    CHECK_FALSE(engine.recover());
    CHECK(engine.pending().find("home of root") != std::string::npos);
    CHECK(machine.fs().info(machine.layout().journal()));
  }
  machine.fs().rename("/elsewhere", Machine::kHome);
  Engine engine(machine);
  CHECK(engine.recover());
  alternatives.check_settled(machine, engine);
}

TEST_CASE("a journal that cannot be read is set aside and named, also at the next start") {
  Machine machine(upgraded());
  machine.write(machine.layout().journal(), "not a journal", 0600);
  {
    Engine engine(machine);
    engine.recover();
    CHECK(engine.damage().find("set aside") != std::string::npos);
  }
  CHECK_FALSE(machine.fs().info(machine.layout().journal()));
  Engine engine(machine);
  engine.recover();
  CHECK_FALSE(engine.damage().empty());
  CHECK(machine.runs() == "app 1.1.0");
}

TEST_CASE("tidying ends the jobs of a dead daemon, not those of this one") {
  Machine machine(upgraded());
  Engine engine(machine);
  JobRecord record;
  record.request = upgrade_request();
  for (record.id = 3; record.id <= 4; ++record.id) engine.records().create(record);
  const JobEnvironment environment = machine.environment();
  Recovery(environment, engine.state(), engine.events()).tidy(3);
  REQUIRE(engine.records().read(3)->result);
  CHECK(engine.records().read(3)->result->outcome == Outcome::kFailed);
  CHECK_FALSE(engine.records().read(4)->result);
}

}  // namespace mcpu::recovery_test
