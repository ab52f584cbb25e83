#include "daemon/steps.hpp"

#include "daemon/concern.hpp"
#include "proto/error.hpp"

namespace mcpu {

StepContext::StepContext(Tools the_tools, const Plan& the_plan, JobLog& the_log)
    : tools(the_tools),
      plan(the_plan),
      log(the_log),
      releases(tools.fs, tools.layout, plan.app),
      entry_points(tools.fs, tools.layout, plan.app, plan.entry_points, tools.launcher) {
  // All of them now: later, threads look for theirs at the same time.
  for (const ManagedUser& user : plan.users) {
    workers_.try_emplace(user.who.uid, Workers{Home(tools.processes, user.who, plan.files),
                                               Checker(tools.processes, user.who)});
  }
}

Home& StepContext::home(const ManagedUser& user, std::chrono::seconds deadline) {
  Home& home = workers_.at(user.who.uid).home;
  home.limit(std::chrono::steady_clock::now() + deadline, running.cancellation);
  return home;
}

void StepContext::rest(const ManagedUser& user) {
  Workers& workers = workers_.at(user.who.uid);
  workers.home.rest();
  workers.checker.rest();
}

void StepContext::start_workers() {
  if (plan.users.size() != 1) return;
  try {
    Workers& workers = workers_.begin()->second;
    if (!plan.users.front().homeless) workers.home.start();
    workers.checker.start();
  } catch (const Error&) {
    // Whoever needs them says so.
  }
}

Snapshot StepContext::snapshot(const ManagedUser& user, JobId job) {
  return {tools.fs, tools.layout, job, user.who.uid};
}

void StepContext::require_home(const ManagedUser& user) const {
  const auto found = away.find(user.who.uid);
  if (found != away.end()) throw about(user, Error(Code::kBusy, found->second));
}

std::vector<ManagedUser> StepContext::active_users() const {
  std::vector<ManagedUser> users;
  for (const ManagedUser& user : plan.users) {
    if (!skipped.contains(user.who.uid)) users.push_back(user);
  }
  return users;
}

std::vector<ManagedUser> StepContext::users_with_home() const {
  std::vector<ManagedUser> users = active_users();
  std::erase_if(users, [](const ManagedUser& user) { return user.homeless; });
  return users;
}

void StepContext::require_homes() const {
  for (const ManagedUser& user : plan.users) {
    if (user.required) require_home(user);
  }
}

namespace {

/// Whether undoing a step of this kind puts files in homes back.
bool works_on_homes(StepKind kind) {
  return kind == StepKind::kSnapshot || kind == StepKind::kPostCheck ||
         kind == StepKind::kRestart || kind == StepKind::kRestoreConfigs;
}

}  // namespace

void apply_step(const Step& step, StepContext& context) {
  switch (step.kind) {
    case StepKind::kStage:
      return apply_stage(step, context);
    case StepKind::kSnapshot:
      return apply_snapshot(step, context);
    case StepKind::kMidCheck:
      return apply_mid_check(step, context);
    case StepKind::kActivate:
      return apply_activate(step, context);
    case StepKind::kEntryPoints:
      return apply_entry_points(step, context);
    case StepKind::kLeave:
      return apply_leave(context);
    case StepKind::kServices:
      return apply_services(step, context);
    case StepKind::kRestart:
      return apply_restart(step, context);
    case StepKind::kRestoreConfigs:
      return apply_restore_configs(step, context);
    case StepKind::kPostCheck:
      return apply_post_check(step, context);
    case StepKind::kStale:
      return apply_stale(context);
    case StepKind::kRecordAfter:
      return apply_record_after(step, context);
  }
  throw Error(Code::kInternal,
              "a plan has a step that cannot be done here: " + std::string(step_name(step.kind)));
}

void undo_step(const Step& step, StepContext& context, const StepTrace& trace) {
  if (works_on_homes(step.kind)) context.require_homes();
  switch (step.kind) {
    case StepKind::kStage:
      return undo_stage(step, context);
    case StepKind::kSnapshot:
      return undo_snapshot(context);
    case StepKind::kMidCheck:
      return undo_mid_check(context);
    case StepKind::kActivate:
      return undo_activate(step, context);
    case StepKind::kEntryPoints:
      return undo_entry_points(step, context);
    case StepKind::kLeave:
      return undo_leave(context);
    case StepKind::kServices:
      return undo_services(step, context, trace);
    case StepKind::kRestart:
      return undo_restart(step, context, trace);
    case StepKind::kRestoreConfigs:
      return undo_restore_configs(step, context, trace);
    case StepKind::kPostCheck:
      return undo_release_changes(step, context, trace);
    case StepKind::kStale:
      return undo_stale(context, trace);
    case StepKind::kRecordAfter:
      return;  // part of the snapshot
  }
}

}  // namespace mcpu
