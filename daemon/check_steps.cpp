#include "daemon/check_steps.hpp"

#include <algorithm>
#include <thread>

#include "daemon/durable.hpp"
#include "daemon/state_store.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

constexpr std::chrono::seconds kHomeLimit{10};
/// More than one, so that no core idles while the last of an odd number runs.
constexpr std::size_t kChecksPerCore = 2;

}  // namespace

CheckTarget entry_target(const StepContext& context, const std::string& home) {
  CheckTarget target;
  for (const EntryPoint& entry : context.plan.entry_points) {
    target.programs[entry.name] = entry.link;
  }
  target.environment["HOME"] = home;
  target.directory = home;
  return target;
}

CheckJudge::Run check_runner(std::chrono::seconds deadline, StepContext& context,
                             const ManagedUser& user) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  return [&context, &user, end](std::vector<CheckRun> runs) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      throw Error(Code::kTimeout,
                  "the checks of this job took too long altogether: see "
                  "limits.all_checks_seconds in the configuration");
    }
    for (CheckRun& run : runs) run.deadline = std::min(run.deadline, left);
    return run_checks(context.tools.processes, user.who, runs,
                      kChecksPerCore * std::max(1U, std::thread::hardware_concurrency()),
                      context.running.cancellation);
  };
}

std::string make_scratch(StepContext& context, const ManagedUser& user) {
  FileSystem& fs = context.tools.fs;
  const std::string directory =
      context.tools.layout.scratch(context.plan.job) + "/" + std::to_string(user.who.uid);
  make_passing_directories(fs, parent_path(directory), 0711);
  remove_tree(fs, directory);
  fs.make_directory(directory, 0700);
  if (fs.info(directory)->uid != user.who.uid) {
    fs.set_owner(directory, user.who.uid, user.who.gid);
  }
  context.home(user, kHomeLimit).fill_scratch(directory);
  return directory;
}

namespace {

/// A release run from where it is stored.
CheckTarget stored_target(const StepContext& context, const std::string& release,
                          const std::string& home) {
  CheckTarget target;
  for (const ExecSpec& spec : context.releases.exec(release)) {
    target.programs[spec.name] =
        context.tools.layout.tree(context.plan.app, release) + "/" + spec.path;
    target.environment.insert(spec.environment.begin(), spec.environment.end());
  }
  target.environment["HOME"] = home;
  target.directory = home;
  return target;
}

bool anything_stands(const StepContext& context) {
  return std::ranges::all_of(context.plan.entry_points, [&](const EntryPoint& entry) {
    return context.tools.fs.info(entry.link).has_value();
  });
}

/// The release before, seen from `home`; empty on a first installation. Before adoption it is
/// whatever stands at the entry points: REQUIRES that they have not been switched yet, or `from` is
/// a release.
std::optional<CheckTarget> old_target(const StepContext& context, const std::string& home) {
  const std::string& from = context.plan.from;
  if (from.empty() || !anything_stands(context)) return std::nullopt;
  if (from == kBefore) return entry_target(context, home);
  return context.releases.exists(from) ? std::optional(stored_target(context, from, home))
                                       : std::nullopt;
}

/// Fails the job when a required user's checks failed; anybody else's only warn.
void settle(StepContext& context, const ManagedUser& user, const Verdict& verdict) {
  if (verdict.passed) return;
  const std::string text = "check '" + verdict.check + "' failed: " + verdict.reason;
  if (!user.required) {
    context.log.emit_about(user.who.uid, Tier::kWarning, "check.warning",
                           {{"check", verdict.check}, {"reason", verdict.reason}});
    return;
  }
  context.verdict = verdict;
  throw Error(
      Code::kCheck, text,
      {{"check", verdict.check}, {"reason", verdict.reason}, {"regression", verdict.regression}});
}

std::vector<CheckSpec> post_checks(const Application& app, bool full) {
  std::vector<CheckSpec> specs;
  for (const CheckSpec& spec : app.checks) {
    if (spec.essential || (full && specs.size() < 2)) specs.push_back(spec);
  }
  return specs;
}

}  // namespace

void note_changes(StepContext& context, const ManagedUser& user,
                  const std::vector<FileState>& before, const std::vector<FileState>& after) {
  for (const FileState& state : after) {
    const FileState* earlier = find_state(before, state.path);
    if (!earlier || earlier->same_content(state)) continue;
    context.touched[user.who.uid].insert(state.path);
    context.note({{"uid", user.who.uid}, {"before", to_json(*earlier)}, {"after", to_json(state)}});
    context.log.emit_about(user.who.uid, Tier::kWarning, "config.changed",
                           {{"user", user.who.name}, {"file", "~/" + escape_path(state.path)}});
  }
}

void apply_mid_check(const Step& step, StepContext& context) {
  const Application& app = *context.running.app;
  std::vector<CheckSpec> specs = app.checks;
  if (step.arguments.value("deep", false)) {
    specs.insert(specs.end(), app.deep_checks.begin(), app.deep_checks.end());
  }
  for (const ManagedUser& user : context.active_users()) {
    const std::string scratch = make_scratch(context, user);
    CheckJudge judge(check_runner(step.deadline, context, user), context.log, user.who.uid);
    settle(context, user,
           judge.judge(specs, stored_target(context, context.plan.to, scratch),
                       old_target(context, scratch)));
  }
}

void undo_mid_check(StepContext& context) {
  remove_tree(context.tools.fs, context.tools.layout.scratch(context.plan.job));
}

void apply_post_check(const Step& step, StepContext& context) {
  if (context.plan.to == kBefore && !anything_stands(context)) return;
  const auto specs = post_checks(*context.running.app, step.arguments.value("full", false));
  for (const ManagedUser& user : context.active_users()) {
    const std::string& home = user.who.home;
    // Before adoption the old one stood where the new one stands now: there is nothing to compare.
    const auto old = context.plan.from == kBefore ? std::nullopt : old_target(context, home);
    const auto before = context.home(user, kHomeLimit).inspect();
    CheckJudge judge(check_runner(step.deadline, context, user), context.log, user.who.uid);
    Verdict verdict;
    std::exception_ptr failure;
    try {
      verdict = judge.judge(specs, entry_target(context, home), old);
    } catch (const Error&) {
      failure = std::current_exception();
    }
    // However the checks ended, what the release changed must be known for the undo.
    Home& look = context.home(user, kHomeLimit);
    look.limit(std::chrono::steady_clock::now() + kHomeLimit, nullptr);
    note_changes(context, user, before, look.inspect());
    if (failure) std::rethrow_exception(failure);
    settle(context, user, verdict);
  }
}

}  // namespace mcpu
