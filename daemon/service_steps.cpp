#include <algorithm>
#include <exception>
#include <functional>
#include <map>
#include <mutex>

#include "daemon/check_steps.hpp"
#include "daemon/parallel.hpp"
#include "daemon/steps.hpp"
#include "daemon/user_steps.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

using nlohmann::json;
using std::chrono::steady_clock;

/// Of one unit's restart, systemd's own TimeoutStopSec and TimeoutStartSec of 90 s included.
constexpr std::chrono::seconds kRestartLimit{200};
/// Of all units of one user who may fail no job: what takes longer goes on without us.
constexpr std::chrono::seconds kOptionalLimit{15};

std::vector<ServiceUnit> units_in(const json& list) {
  std::vector<ServiceUnit> units;
  for (const json& one : list) units.push_back(service_unit_from_json(one));
  return units;
}

/// Works on a unit until a deadline.
using UnitWork = std::function<void(const ServiceUnit& unit, Deadline end)>;

/// Calls `work` for the units that count, one after the other on this thread, then for those of
/// users who may fail no job, each user's beside the others'. All have until `end`.
void for_each_unit(const std::vector<ServiceUnit>& units, Deadline end, const UnitWork& work) {
  std::map<std::uint32_t, std::vector<ServiceUnit>> optional;
  for (const ServiceUnit& unit : units) {
    if (unit.required) {
      work(unit, std::min(end, steady_clock::now() + kRestartLimit));
    } else {
      optional[unit.owner.uid].push_back(unit);
    }
  }
  std::vector<const std::vector<ServiceUnit>*> users;
  for (const auto& [uid, theirs] : optional) users.push_back(&theirs);
  parallel_for(users.size(), kUsersAtOnce, [&](std::size_t i) {
    const Deadline own_end = std::min(end, steady_clock::now() + kOptionalLimit);
    for (const ServiceUnit& unit : *users[i]) work(unit, own_end);
  });
}

/// A unit's journal may tell more than everybody is to know.
void tell_lines(StepContext& context, const ServiceUnit& unit, const RestartResult& result) {
  for (const std::string& line : result.lines) {
    context.log.emit_about(unit.owner.uid, Tier::kInfo, "service.output",
                           {{"unit", unit.shown()}, {"line", line}});
  }
}

/// Restarts a unit, or says why that did not end before `end`.
RestartResult restart_before(Deadline end, StepContext& context, const ServiceUnit& unit) {
  const auto left = std::chrono::ceil<std::chrono::seconds>(end - steady_clock::now());
  RestartResult late{false, "the time for its restart was over before its turn", {}, true};
  if (left.count() <= 0) return late;
  try {
    return context.tools.services->restart(unit, left, context.running.cancellation);
  } catch (const Error& error) {
    if (error.code() != Code::kTimeout) throw;
    late.reason = "its restart did not end within " + std::to_string(left.count()) + " s";
    return late;
  }
}

/// A service that ran out of time may do so for the machine's fault: the job fails, the release is
/// not denied.
[[noreturn]] void fail(const ServiceUnit& unit, const RestartResult& result) {
  const std::string check = "service " + unit.shown();
  throw Error(Code::kCheck, check + " does not run with the new release: " + result.reason,
              {{"check", check}, {"reason", result.reason}, {"regression", !result.timed_out}});
}

void warn(StepContext& context, const ServiceUnit& unit, const std::string& reason) {
  context.log.warning("service.warning",
                      {{"unit", unit.shown()}, {"user", unit.owner.name}, {"reason", reason}});
}

void restart(StepContext& context, const ServiceUnit& unit, const ServiceState& before,
             Deadline end) {
  const auto begin = steady_clock::now();
  const RestartResult result = restart_before(end, context, unit);
  const auto took =
      std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - begin);
  if (result.runs) {
    context.log.info("service.restarted", {{"unit", unit.shown()}, {"milliseconds", took.count()}});
    return;
  }
  tell_lines(context, unit, result);
  if (!unit.required) return warn(context, unit, result.reason);
  if (before.up()) fail(unit, result);
  context.log.warning("service.failed_before", {{"unit", unit.shown()}, {"reason", result.reason}});
}

/// Has what goes wrong with a unit of a user who may fail no job told, but for a cancel.
template <typename Work, typename Tell>
void unless_optional(const ServiceUnit& unit, const Work& work, const Tell& tell) {
  try {
    work();
  } catch (const Error& error) {
    if (unit.required || error.code() == Code::kCancelled) throw;
    tell(error);
  }
}

}  // namespace

void apply_services(const Step& step, StepContext& context) {
  if (!context.tools.services) return;
  const std::vector<ServiceUnit> units = units_in(step.arguments.at("units"));
  std::mutex mutex;
  for_each_unit(units, steady_clock::now() + step.deadline, [&](const auto& unit, Deadline) {
    unless_optional(
        unit,
        [&] {
          ServiceState state = context.tools.services->look(unit, context.running.cancellation);
          const std::lock_guard lock(mutex);
          context.services[unit.shown()] = std::move(state);
        },
        [&](const Error& error) {
          context.log.warning("service.skipped",
                              {{"unit", unit.shown()}, {"reason", error.what()}});
        });
  });
  for (const ServiceUnit& unit : units) {
    const auto state = context.services.find(unit.shown());
    if (state == context.services.end()) continue;
    json note = to_json(unit);
    note["active"] = state->second.active;
    context.note(note);
  }
}

namespace {

/// What a home's managed files are like, for each user; empty where nobody could look.
using Looks = std::vector<std::vector<FileState>>;

UserFailures look_at_homes(StepContext& context, const std::vector<ManagedUser>& users,
                           Looks& looks) {
  looks.resize(users.size());
  return side_by_side(context, users, [&](std::size_t i) {
    if (!context.skipped.contains(users[i].who.uid)) looks[i] = look_at_home(context, users[i]);
  });
}

/// What failed before stays as it is too: nobody could say whose fault its next failure is.
void leave(StepContext& context, const ServiceUnit& unit, const ServiceState& state) {
  const bool failed = state.active == "failed" && unit.required;
  context.log.emit({failed ? Tier::kWarning : Tier::kInfo,
                    "service.left",
                    {{"unit", unit.shown()}, {"state", state.active}},
                    {}});
}

void restart_those_that_ran(const Step& step, StepContext& context) {
  const Deadline all = steady_clock::now() + step.deadline;
  for_each_unit(units_in(step.arguments.at("units")), all, [&](const auto& unit, Deadline end) {
    const auto before = context.services.find(unit.shown());
    if (before == context.services.end()) return;  // told when it was looked at
    if (!before->second.runs()) return leave(context, unit, before->second);
    unless_optional(
        unit, [&] { restart(context, unit, before->second, end); },
        [&](const Error& error) { warn(context, unit, error.what()); });
  });
}

}  // namespace

/// A service runs the release in the real homes, just as the checks at the entry point do.
void apply_restart(const Step& step, StepContext& context) {
  const std::vector<ManagedUser> users = context.users_with_home();
  Looks before, after;
  settle_failures(context, users, look_at_homes(context, users, before), "snapshot.skipped");
  std::exception_ptr failure;
  try {
    restart_those_that_ran(step, context);
  } catch (const Error&) {
    failure = std::current_exception();
  }
  const UserFailures unseen = look_at_homes(context, users, after);
  for (std::size_t i = 0; i < users.size(); ++i) {
    note_changes(context, users[i], before[i], after[i]);
  }
  if (failure) std::rethrow_exception(failure);
  settle_failures(context, users, unseen, "snapshot.skipped");
}

void undo_restart(const Step& step, StepContext& context, const StepTrace& trace) {
  context.restart_again = true;
  undo_release_changes(step, context, trace);
}

namespace {

/// Why a service that ran before the job does not again; empty: it does.
std::string restore(StepContext& context, const ServiceUnit& unit, Deadline end) {
  try {
    const RestartResult result = restart_before(end, context, unit);
    if (result.runs) return "";
    tell_lines(context, unit, result);
    return result.reason;
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

/// By now everything is as it was: what ran before runs that again. It cannot fail the undo, but
/// the job's end says what does not run.
void undo_services(const Step& step, StepContext& context, const StepTrace& trace) {
  if (!context.restart_again || !context.tools.services) return;
  std::vector<ServiceUnit> ran;
  for (const json& note : trace.notes) {
    ServiceState state;
    state.active = note.at("active");
    if (!state.runs()) continue;
    ran.push_back(service_unit_from_json(note));
    context.services[ran.back().shown()] = state;
  }
  context.down.clear();
  const Deadline all = steady_clock::now() + step.deadline;
  for_each_unit(ran, all, [&](const auto& unit, Deadline end) {
    const std::string reason = restore(context, unit, end);
    if (reason.empty()) {
      context.log.info("service.restored", {{"unit", unit.shown()}});
      return;
    }
    context.log.warning("service.not_restored", {{"unit", unit.shown()}, {"reason", reason}});
    const bool was_up = context.services.at(unit.shown()).up();
    if (unit.required && was_up) context.down.push_back(unit);
  });
}

}  // namespace mcpu
