#include "daemon/transaction.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <cstdlib>

#include "daemon/denied_releases.hpp"
#include "tests/job_story.hpp"

namespace mcpu::transaction_test {

namespace {

/// Everything but the release's programs passes; those fail only through the entry point.
Machine with_bad_post_check() {
  Machine machine(installed_machine());
  machine.check_by(
      [](const CheckRun& run) { return run.program == Machine::kLink ? failing() : passing(); });
  return machine;
}

std::uint64_t stride() { return std::getenv("MCPU_EXHAUSTIVE") ? 1 : 13; }

}  // namespace

TEST_CASE("a job one of whose changes fails ends old or new") {
  for (const int error : {EIO, ENOSPC}) {
    CHECK(fail_everywhere({installed_machine(), upgrade_request(), 2}, {error}, {}, 1, stride()) >
          5);
  }
}

TEST_CASE("a job that fails after the switch is undone, and being stopped does not change that") {
  const Machine machine = with_bad_post_check();
  const Ordeal ordeal{machine, upgrade_request(), 2, Outcome::kFailed};
  for (const Loss loss : {Loss::kNothing, Loss::kUnsynced}) {
    CHECK(stop_everywhere(ordeal, loss, {}, 1, stride()) > 5);
  }
}

TEST_CASE("a failed post-check undoes the switch, and what the release wrote") {
  Machine machine(installed_machine());
  const auto before = machine.picture();
  machine.check_by([&](const CheckRun& run) {
    if (run.program != Machine::kLink) return passing();
    machine.write(Machine::kHome + "/" + Machine::kSettings, "broken by 1.1.0", 0600);
    return failing();
  });
  Engine engine(machine);
  const JobResult result = engine.run(upgrade_request());
  CHECK(result.outcome == Outcome::kFailed);
  CHECK(machine.picture() == before);
  CHECK(machine.runs() == "app 1.0.0");
  const auto denied = DeniedReleases(machine.fs(), machine.layout(), "app").list();
  REQUIRE(denied.size() == 1);
  CHECK(denied[0].version == "1.1.0");
  CHECK_FALSE(machine.fs().info(machine.layout().journal()));
}

TEST_CASE("a cancel before the commit record undoes, whatever step it meets") {
  Machine machine(installed_machine());
  const auto before = machine.picture();
  {
    Engine engine(machine);
    engine.on_commit = [&] { engine.cancellation.request(); };
    CHECK(engine.run(upgrade_request()).outcome == Outcome::kCancelled);
  }
  CHECK(machine.picture() == before);
  machine.check_by([](const CheckRun&) { return passing(); });
  Engine engine(machine);
  engine.cancellation.request();
  CHECK(engine.run(upgrade_request()).outcome == Outcome::kCancelled);
  CHECK(machine.picture() == before);
}

TEST_CASE("a record is durable before its step begins") {
  Machine machine(installed_machine());
  Engine engine(machine);
  engine.run(upgrade_request());
  bool journal_made = false, staged = false;
  for (const std::string& call : machine.fs().trace()) {
    journal_made = journal_made || call.starts_with("rename " + machine.layout().journal());
    const bool staging = call.find("/.staging-2") != std::string::npos;
    CHECK((!staging || journal_made));
    staged = staged || staging;
  }
  CHECK(staged);
}

TEST_CASE("what a release wrote is undone even if the journal has no note of it") {
  Machine machine(installed_machine());
  const auto before = machine.picture();
  const std::string other = Machine::kHome + "/.app/keys.toml";
  bool written = false;
  machine.check_by([&](const CheckRun& run) {
    if (run.program != Machine::kLink || written) return passing();
    written = true;
    machine.write(Machine::kHome + "/" + Machine::kSettings, "settings of 1.1.0", 0600);
    machine.write(other, "keys of 1.1.0", 0600);
    // The first note is written and synced, the second one fails. An open file goes by the name it
    // was made with.
    machine.fs().fail_below(machine.layout().state + "/.journal.tmp", 3, ENOSPC);
    return passing();
  });
  Engine engine(machine);
  CHECK(engine.run(upgrade_request()).outcome == Outcome::kFailed);
  CHECK(machine.picture() == before);
}

}  // namespace mcpu::transaction_test
