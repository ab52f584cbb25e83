// Every plan stopped, cut off from power, and refused by the disk at every call of the file-system
// port: what is left is exactly old or exactly new (see tests/ordeal.cpp for all that is checked).
// A new step is covered as soon as one of the plans here has it.

#include <doctest/doctest.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "tests/job_story.hpp"

using namespace mcpu;

namespace {

/// 1.0.0 and 1.1.0 are installed, 1.2.0 is offered.
Machine upgraded() {
  Machine one;
  run_well(one, upgrade_request());
  one.offer("1.1.0");
  run_well(one, upgrade_request());
  one.offer("1.2.0");
  return one;
}

/// A checkout is linked on PATH, 1.0.0 is offered.
Machine with_checkout() {
  Machine one;
  one.write("/src/app/bin/app", "app in a checkout", 0755);
  link_durably(one.fs(), "/src/app/bin/app", Machine::kLink);
  return one;
}

/// The checkout was adopted, an old link into it is left in the home, a service runs, and 1.1.0 is
/// offered.
Machine adopted_with_everything() {
  Machine one(with_checkout());
  run_well(one, upgrade_request());
  make_directories(one.fs(), Machine::kHome + "/bin", 0755);
  link_durably(one.fs(), "/src/app/bin/app", Machine::kHome + "/bin/app");
  one.add_service();
  one.offer("1.1.0");
  return one;
}

/// The newest version's checks fail.
Machine with_broken_release() {
  Machine one(upgraded());
  one.check_by([](const CheckRun& run) {
    return run.program.find("1.2.0") == std::string::npos ? passing() : failing();
  });
  return one;
}

/// Something is pruned behind the commit.
Machine with_little_retention() {
  Machine one(upgraded());
  one.configuration().retention = {1, 1};
  return one;
}

/// The command on PATH was replaced, the current release stands.
Machine with_replaced_command() {
  Machine one(upgraded());
  one.fs().remove_file(Machine::kLink);
  one.write(Machine::kLink, "an old backup", 0755);
  return one;
}

/// What leads to the current release is gone.
Machine with_lost_links() {
  Machine one(with_replaced_command());
  remove_durably(one.fs(), one.layout().launcher("app", "app"));
  remove_durably(one.fs(), one.layout().current("app"));
  return one;
}

/// How many cases there were, by their kind.
struct Counts {
  std::uint64_t stops = 0, failures = 0, in_recovery = 0;
};

void upgrade_on(Machine& machine) {
  machine.fs().restart(Loss::kNothing);
  machine.check_by({});
  machine.offer("2.0.0");
  run_well(machine, upgrade_request());
  CHECK(machine.runs() == "app 2.0.0");
}

/// Every which call: a sanitizer sees each kind of call, not each call. MCPU_EXHAUSTIVE=1 leaves
/// nothing out.
std::uint64_t stride(std::uint64_t usual) {
  if (std::getenv("MCPU_EXHAUSTIVE")) return 1;
  return std::getenv("MCPU_SANITIZED") ? 23 * usual : usual;
}

void stop(const Ordeal& ordeal, Counts& counts) {
  for (const Loss loss : {Loss::kNothing, Loss::kUnsynced, Loss::kSome}) {
    counts.stops += stop_everywhere(ordeal, loss, upgrade_on, 1, stride(1));
  }
}

void fail(const Ordeal& ordeal, Counts& counts) {
  // Each call fails, with one error after the other.
  const std::vector<int> errors{ENOSPC, EIO, EACCES, EROFS, EDQUOT};
  for (std::size_t i = 0; i < errors.size(); ++i) {
    counts.failures += fail_everywhere(ordeal, {errors[i]}, {}, i + 1, stride(errors.size()));
  }
  counts.failures += fail_everywhere(ordeal, {ENOSPC, false, true}, upgrade_on, 1, stride(1));
  counts.failures += fail_everywhere(ordeal, {EIO, true, false}, upgrade_on, 1, stride(3));
}

/// At some moments of the job, each call of its recovery.
void stop_recovery(const Ordeal& ordeal, Counts& counts) {
  const std::uint64_t calls = Alternatives(ordeal).calls(), step = calls / 5;
  for (std::uint64_t call = step; call < calls; call += step) {
    for (const Loss loss : {Loss::kNothing, Loss::kUnsynced, Loss::kSome}) {
      counts.in_recovery += stop_recovery_everywhere(ordeal, call, loss, stride(3));
    }
    for (const Failure failure : {Failure{ENOSPC}, Failure{EIO, false, true}}) {
      counts.in_recovery += fail_recovery_everywhere(ordeal, call, failure, stride(3));
    }
  }
}

void run(const std::function<Machine()>& before, const JobRequest& request, JobId job,
         Outcome outcome = Outcome::kDone) {
  const Machine machine(before());
  machine.fs().restart(Loss::kNothing);
  const Ordeal ordeal{machine, request, job, outcome};
  Counts counts;
  stop(ordeal, counts);
  fail(ordeal, counts);
  stop_recovery(ordeal, counts);
  CHECK(counts.stops > 100 / stride(1));
  CHECK(counts.failures > 100 / stride(1));
  CHECK(counts.in_recovery > 10);
  std::printf("counted: stopped %llu times, refused by the disk %llu times, in recovery %llu\n",
              static_cast<unsigned long long>(counts.stops),
              static_cast<unsigned long long>(counts.failures),
              static_cast<unsigned long long>(counts.in_recovery));
}

}  // namespace

TEST_CASE("first installation") {
  run([] { return Machine(); }, upgrade_request(), 1);
}
TEST_CASE("adoption") { run(with_checkout, upgrade_request(), 1); }
TEST_CASE("quick upgrade") { run(with_little_retention, upgrade_request(), 3); }
TEST_CASE("full upgrade") { run(adopted_with_everything, full_request(), 2); }
TEST_CASE("broken release") { run(with_broken_release, upgrade_request(), 3, Outcome::kFailed); }
TEST_CASE("replaced command") { run(with_replaced_command, upgrade_request(), 3); }
TEST_CASE("repair") {
  JobRequest request = upgrade_request();
  request.kind = JobKind::kRepair;
  run(with_lost_links, request, 3);
}
TEST_CASE("rollback") { run(upgraded, rollback_request(), 3); }
TEST_CASE("rollback to before") { run(adopted_with_everything, rollback_request(kBefore), 2); }
