#include <algorithm>
#include <system_error>

#include "tests/engine_fixture.hpp"

namespace mcpu {

namespace {

using Picture = std::map<std::string, std::string>;

/// What differs, for a person.
std::string difference(const Picture& expected, const Picture& found) {
  std::string text;
  for (const auto& [path, what] : expected) {
    const auto there = found.find(path);
    if (there == found.end())
      text += "  missing: " + path + "\n";
    else if (there->second != what)
      text += "  differs: " + path + ": " + there->second + "\n";
  }
  for (const auto& [path, what] : found) {
    if (!expected.contains(path)) text += "  too much: " + path + ": " + what + "\n";
  }
  return text;
}

std::string last_call(const Machine& machine) {
  const auto trace = machine.fs().trace();
  return trace.empty() ? "" : trace.back();
}

std::string name_of(Loss loss) {
  return loss == Loss::kNothing    ? "killed"
         : loss == Loss::kUnsynced ? "power cut"
                                   : "power cut with a part written";
}

std::string name_of(const Failure& failure) {
  return std::generic_category().message(failure.errno_value) + (failure.lasts ? " from" : " at") +
         (failure.looks ? " look " : " call ");
}

void set_failure(MemoryFileSystem& fs, const Failure& failure, std::uint64_t call) {
  const std::uint64_t count = failure.lasts ? UINT32_MAX : 1;
  if (failure.looks) {
    fs.fail_look_at(call, failure.errno_value, count);
  } else {
    fs.fail_at(call, failure.errno_value, count);
  }
}

std::vector<Event> events_of(EventLog& log, JobId job) {
  std::vector<Event> events;
  // A read may return less than there is: only nothing means the end.
  while (true) {
    const auto some = log.read(job, events.size() + 1, 1000);
    if (some.empty()) return events;
    for (const auto& one : some) events.push_back(one->event);
  }
}

}  // namespace

Alternatives::Alternatives(const Ordeal& ordeal)
    : ordeal_(ordeal), old_runs_(ordeal.before.runs()), old_(ordeal.before.picture()) {
  Machine machine(ordeal.before);
  Engine engine(machine);
  const JobResult result = engine.run(ordeal.request);
  INFO(result.message);
  REQUIRE(result.outcome == ordeal.outcome);
  calls_ = machine.fs().changing_calls();
  looks_ = machine.fs().looks();
  new_runs_ = machine.runs();
  new_ = machine.picture();
}

void Alternatives::check_running(const Machine& machine) const {
  const std::string runs = machine.runs();
  // A job that is to fail may have switched already: whole is enough then.
  const bool whole = ordeal_.outcome != Outcome::kDone && runs.starts_with("app ");
  CHECK_MESSAGE((whole || runs == old_runs_ || runs == new_runs_), "runs: ", runs);
}

void Alternatives::check_settled(const Machine& machine, Engine& engine) const {
  const Picture present = machine.picture();
  const auto record = engine.records().read(ordeal_.job);
  const bool done = record && record->result && record->result->outcome == ordeal_.outcome;
  const bool is_new = without_pruned(present) == new_ && (done || new_ != old_);
  CHECK_MESSAGE((is_new || present == old_), "neither old nor new. Against old:\n",
                difference(old_, present), "against new:\n", difference(new_, present));
  const auto temporary = machine.temporary_files();
  CHECK_MESSAGE(temporary.empty(), "left behind: ", temporary.empty() ? "" : temporary.front());
  if (machine.service()) CHECK(machine.service()->runs() == machine.runs());
  CHECK(engine.state().damage().empty());
  CHECK_MESSAGE(engine.damage().empty(), engine.damage());
  check_record(engine, is_new);
}

/// A release whose removal did not become durable lies there again: a later job prunes it.
Picture Alternatives::without_pruned(Picture present) const {
  std::erase_if(present, [&](const auto& one) {
    const bool release = one.first.find("/releases/") != std::string::npos;
    return release && old_.contains(one.first) && !new_.contains(one.first);
  });
  return present;
}

void Alternatives::check_record(Engine& engine, bool is_new) const {
  const auto record = engine.records().read(ordeal_.job);
  const auto& history = engine.state().get()->application("app").history;
  const bool in_history = std::ranges::any_of(
      history, [&](const HistoryEntry& entry) { return entry.job == ordeal_.job; });
  const bool switches =
      ordeal_.outcome == Outcome::kDone && ordeal_.request.kind != JobKind::kRepair;
  if (switches) CHECK(in_history == is_new);
  if (!record) {
    CHECK_FALSE(is_new);
    return;
  }
  REQUIRE(record->result);
  if (ordeal_.outcome == Outcome::kDone) {
    CHECK((record->result->outcome == Outcome::kDone) == is_new);
  } else {
    CHECK(record->result->outcome != Outcome::kDone);
  }
  CHECK(record->finished_at.has_value());
  const auto events = events_of(engine.events(), ordeal_.job);
  REQUIRE_FALSE(events.empty());
  for (std::size_t i = 0; i < events.size(); ++i) {
    CHECK(events[i].number == i + 1);
    CHECK(events[i].last == (i + 1 == events.size()));
  }
  const std::string id = events.back().id;
  CHECK_MESSAGE((id == "job.finished") == (record->result->outcome == Outcome::kDone), id);
}

std::string run_until_stopped(Machine& machine, const Ordeal& ordeal, std::uint64_t call,
                              Loss loss) {
  try {
    Engine engine(machine);
    machine.fs().crash_at(machine.fs().changing_calls() + call);
    engine.run(ordeal.request);
  } catch (const SimulatedCrash&) {
  } catch (const Error&) {
    // An event could not be stored, for the same reason.
    if (!machine.fs().down()) throw;
  }
  if (!machine.fs().down()) return "";
  const std::string stopped_at = last_call(machine);
  machine.fs().restart(loss, static_cast<std::uint32_t>(call));
  return stopped_at;
}

std::uint64_t stop_everywhere(const Ordeal& ordeal, Loss loss, const Next& next,
                              std::uint64_t first, std::uint64_t stride) {
  const Alternatives alternatives(ordeal);
  std::uint64_t stops = 0;
  for (std::uint64_t call = first;; call += stride) {
    Machine machine(ordeal.before);
    const std::string stopped_at = run_until_stopped(machine, ordeal, call, loss);
    if (stopped_at.empty()) return stops;
    ++stops;
    INFO(name_of(loss), " at call ", call, ": ", stopped_at);
    alternatives.check_running(machine);
    {
      Engine engine(machine);
      const bool recovered = engine.recover();
      CHECK_MESSAGE(recovered, engine.pending());
      alternatives.check_settled(machine, engine);
    }
    if (next) next(machine);
  }
}

std::uint64_t stop_recovery_everywhere(const Ordeal& ordeal, std::uint64_t call, Loss loss,
                                       std::uint64_t stride) {
  const Alternatives alternatives(ordeal);
  Machine stopped(ordeal.before);
  const std::string stopped_at = run_until_stopped(stopped, ordeal, call, loss);
  if (stopped_at.empty()) return 0;
  std::uint64_t stops = 0;
  for (std::uint64_t inner = 1;; inner += stride) {
    Machine machine(stopped);
    machine.fs().crash_at(inner);
    try {
      Engine(machine).recover();
    } catch (const SimulatedCrash&) {
    } catch (const Error&) {
      if (!machine.fs().down()) throw;
    }
    if (!machine.fs().down()) return stops;
    ++stops;
    const std::string then = last_call(machine);
    INFO(name_of(loss), " at call ", call, ": ", stopped_at, ", and in the recovery at call ",
         inner, ": ", then);
    machine.fs().restart(loss, static_cast<std::uint32_t>(inner));
    alternatives.check_running(machine);
    Engine engine(machine);
    const bool recovered = engine.recover();
    CHECK_MESSAGE(recovered, engine.pending());
    alternatives.check_settled(machine, engine);
  }
}

namespace {

/// One life of the daemon in which a call fails; what it threw, if anything.
template <typename Life>
std::string live_with(Machine& machine, const Failure& failure, std::uint64_t call, Life life) {
  set_failure(machine.fs(), failure, call);
  try {
    life(machine);
  } catch (const Error& error) {
    return error.what();  // not even its record could be made
  }
  return "";
}

/// The next start, without the failure: after a power cut, since what a job said before it must be
/// true even though a sync had failed.
void settle(Machine& machine, const Alternatives& alternatives) {
  machine.fs().restart(Loss::kUnsynced);
  alternatives.check_running(machine);
  Engine engine(machine);
  const bool recovered = engine.recover();
  CHECK_MESSAGE(recovered, engine.pending());
  alternatives.check_settled(machine, engine);
}

/// The call that failed, for a person.
std::string failed_call(const Machine& machine, const Failure& failure, std::uint64_t call) {
  const auto trace = machine.fs().trace();
  const bool known = !failure.looks && trace.size() >= call;
  return name_of(failure) + std::to_string(call) + (known ? ": " + trace[call - 1] : "");
}

}  // namespace

std::uint64_t fail_everywhere(const Ordeal& ordeal, const Failure& failure, const Next& next,
                              std::uint64_t first, std::uint64_t stride) {
  const Alternatives alternatives(ordeal);
  const std::uint64_t calls = failure.looks ? alternatives.looks() : alternatives.calls();
  std::uint64_t failures = 0;
  for (std::uint64_t call = first; call <= calls; call += stride) {
    Machine machine(ordeal.before);
    const std::string thrown =
        live_with(machine, failure, call, [&](Machine& one) { Engine(one).run(ordeal.request); });
    const std::string where = failed_call(machine, failure, call) + " " + thrown;
    INFO(where);
    ++failures;
    settle(machine, alternatives);
    if (next) next(machine);
  }
  return failures;
}

std::uint64_t fail_recovery_everywhere(const Ordeal& ordeal, std::uint64_t call,
                                       const Failure& failure, std::uint64_t stride) {
  const Alternatives alternatives(ordeal);
  Machine stopped(ordeal.before);
  const std::string stopped_at = run_until_stopped(stopped, ordeal, call, Loss::kNothing);
  if (stopped_at.empty()) return 0;
  std::uint64_t failures = 0;
  for (std::uint64_t inner = 1;; inner += stride) {
    Machine machine(stopped);
    const std::string thrown =
        live_with(machine, failure, inner, [](Machine& one) { Engine(one).recover(); });
    const std::uint64_t made = failure.looks ? machine.fs().looks() : machine.fs().changing_calls();
    if (made < inner) return failures;
    ++failures;
    const std::string where = failed_call(machine, failure, inner) + " " + thrown;
    INFO("stopped at call ", call, ": ", stopped_at, ", then in the recovery ", where);
    settle(machine, alternatives);
  }
}

}  // namespace mcpu
