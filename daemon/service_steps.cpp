#include <exception>

#include "daemon/check_steps.hpp"
#include "daemon/steps.hpp"
#include "daemon/user_steps.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

/// Of one unit's restart, systemd's own TimeoutStopSec and TimeoutStartSec of 90 s included.
constexpr std::chrono::seconds kRestartLimit{200};

std::vector<ServiceUnit> units_in(const Step& step) {
  std::vector<ServiceUnit> units;
  for (const json& one : step.arguments.at("units")) units.push_back(service_unit_from_json(one));
  return units;
}

/// A unit's journal may tell more than everybody is to know.
void tell_lines(StepContext& context, const ServiceUnit& unit, const RestartResult& result) {
  for (const std::string& line : result.lines) {
    context.log.emit_about(unit.owner.uid, Tier::kInfo, "service.output",
                           {{"unit", unit.shown()}, {"line", line}});
  }
}

[[noreturn]] void fail(const ServiceUnit& unit, const std::string& reason) {
  const std::string check = "service " + unit.shown();
  throw Error(Code::kCheck, check + " does not run with the new release: " + reason,
              {{"check", check}, {"reason", reason}, {"regression", true}});
}

void restart(StepContext& context, const ServiceUnit& unit, const ServiceState& before) {
  const auto begin = std::chrono::steady_clock::now();
  const RestartResult result =
      context.tools.services->restart(unit, kRestartLimit, context.running.cancellation);
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - begin);
  if (result.runs) {
    context.log.info("service.restarted", {{"unit", unit.shown()}, {"milliseconds", took.count()}});
    return;
  }
  tell_lines(context, unit, result);
  if (before.active != "failed") fail(unit, result.reason);
  context.log.warning("service.failed_before", {{"unit", unit.shown()}, {"reason", result.reason}});
}

}  // namespace

void apply_services(const Step& step, StepContext& context) {
  for (const ServiceUnit& unit : units_in(step)) {
    if (!context.tools.services) return;
    const ServiceState state = context.tools.services->look(unit, context.running.cancellation);
    context.services[unit.shown()] = state;
    json note = to_json(unit);
    note["active"] = state.active;
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

void restart_those_that_ran(const Step& step, StepContext& context) {
  for (const ServiceUnit& unit : units_in(step)) {
    const ServiceState& before = context.services[unit.shown()];
    if (!before.runs() && before.active != "failed") {
      context.log.info("service.left", {{"unit", unit.shown()}, {"state", before.active}});
      continue;
    }
    restart(context, unit, before);
  }
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

/// By now everything is as it was: what ran before runs that again. It cannot fail the undo.
void undo_services(StepContext& context, const StepTrace& trace) {
  if (!context.restart_again || !context.tools.services) return;
  for (const json& note : trace.notes) {
    const ServiceUnit unit = service_unit_from_json(note);
    ServiceState state;
    state.active = note.at("active");
    if (!state.runs()) continue;
    try {
      const auto result = context.tools.services->restart(unit, kRestartLimit, nullptr);
      if (result.runs) {
        context.log.info("service.restored", {{"unit", unit.shown()}});
        continue;
      }
      tell_lines(context, unit, result);
      context.log.warning("service.not_restored",
                          {{"unit", unit.shown()}, {"reason", result.reason}});
    } catch (const Error& error) {
      context.log.warning("service.not_restored",
                          {{"unit", unit.shown()}, {"reason", error.what()}});
    }
  }
}

}  // namespace mcpu
