#include "daemon/check_steps.hpp"

#include <algorithm>
#include <exception>
#include <thread>

#include "daemon/durable.hpp"
#include "daemon/scratch.hpp"
#include "daemon/state_store.hpp"
#include "daemon/user_steps.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

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
  target.foreign = context.plan.to == kBefore;
  return target;
}

namespace {

/// How long the checks of a user who may fail no job may take: as long as the slowest of them.
std::chrono::milliseconds slowest(const std::vector<CheckSpec>& specs) {
  std::chrono::milliseconds longest{0};
  for (const CheckSpec& spec : specs) longest = std::max(longest, spec.deadline);
  return longest;
}

/// Why no time is left: that of all checks, or this user's own part of it.
Error out_of_time(bool of_all) {
  if (of_all) {
    return Error(Code::kTimeout,
                 "the checks took too long altogether: see limits.all_checks_seconds in the "
                 "configuration");
  }
  return Error(Code::kTimeout,
               "the time of a user who is not in required_users was over: as long as the slowest "
               "check may take");
}

}  // namespace

CheckJudge::Run check_runner(const std::vector<CheckSpec>& specs, Deadline all,
                             StepContext& context, const ManagedUser& user) {
  const Deadline own_end = std::chrono::steady_clock::now() + slowest(specs);
  const bool of_all = user.required || all <= own_end;
  return [&context, &user, of_all, end = of_all ? all : own_end](std::vector<CheckRun> runs) {
    if (runs.empty()) return std::vector<CheckResult>();
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    if (left.count() <= 0) throw out_of_time(of_all);
    for (CheckRun& run : runs) run.deadline = std::min(run.deadline, left);
    return context.checker(user).run(
        runs, kChecksPerCore * std::max(1U, std::thread::hardware_concurrency()),
        context.running.cancellation);
  };
}

CheckedUser checked(const StepContext& context, const ManagedUser& user) {
  return {user.who.uid, user.who.name, context.plan.users.size() < 2};
}

std::string make_scratch(StepContext& context, const ManagedUser& user) {
  FileSystem& fs = context.tools.fs;
  const std::string directory =
      context.tools.layout.scratch(context.plan.job) + "/" + std::to_string(user.who.uid);
  make_passing_directories(fs, parent_path(directory), 0711);
  // There already, if this job has checked before: its user may have filled it since.
  if (!fs.info(directory)) fs.make_directory(directory, 0700);
  if (fs.info(directory)->uid != user.who.uid) {
    fs.set_owner(directory, user.who.uid, user.who.gid);
  }
  if (!user.homeless) context.home(user, kHomeLimit).fill_scratch(directory);
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
/// a release. Empty too for a damaged release, which must not keep anybody from leaving it.
std::optional<CheckTarget> old_target(const StepContext& context, const std::string& home) {
  const std::string& from = context.plan.from;
  if (from.empty() || !anything_stands(context)) return std::nullopt;
  if (from == kBefore) return entry_target(context, home);
  try {
    if (context.releases.exists(from)) return stored_target(context, from, home);
  } catch (const Error&) {
    // Told when the job was planned.
  }
  return std::nullopt;
}

/// What one user's checks came to.
struct Judgement {
  Verdict verdict;
  Baseline baseline;
  std::vector<FileState> before, after;  ///< of the real home, around the checks
};

/// What to do when what stood there before adoption fails a check: nothing of ours is at fault.
std::string advice(const StepContext& context) {
  if (context.plan.to != kBefore) return "";
  const std::string origin =
      context.entry_points.recorded_origin(context.tools.layout.adoption(context.plan.app));
  return "; what stood there before adoption is itself what fails: mend or restore " +
         escape_path(origin) + ", then 'mcpctl rollback --to before' again";
}

/// Fails the job when a required user's checks failed, with a regression if there is one; anybody
/// else's only warn.
void settle(StepContext& context, const std::vector<ManagedUser>& users,
            const UserFailures& failures, const std::vector<Judgement>& judgements) {
  settle_failures(context, users, failures, "check.skipped");
  const Verdict* worst = nullptr;
  std::string whose;
  for (std::size_t i = 0; i < users.size(); ++i) {
    const Verdict& one = judgements[i].verdict;
    if (one.passed) continue;
    if (!users[i].required) {
      context.log.emit_about(
          users[i].who.uid, Tier::kWarning, "check.warning",
          checked(context, users[i]).with({{"check", one.check}, {"reason", one.reason}}));
    } else if (!worst || (one.regression && !worst->regression)) {
      worst = &one;
      whose = checked(context, users[i]).suffix();
    }
  }
  if (!worst) return;
  context.verdict = *worst;
  throw Error(
      Code::kCheck,
      "check '" + worst->check + "' failed" + whose + ": " + worst->reason + advice(context),
      {{"check", worst->check}, {"reason", worst->reason}, {"regression", worst->regression}});
}

std::vector<CheckSpec> post_checks(const Application& app, bool full) {
  std::vector<CheckSpec> specs;
  for (const CheckSpec& spec : app.checks) {
    if (spec.essential || (full && specs.size() < 2)) specs.push_back(spec);
  }
  return specs;
}

}  // namespace

std::vector<FileState> look_at_home(StepContext& context, const ManagedUser& user) {
  Home& home = context.home(user, kHomeLimit);
  home.limit(std::chrono::steady_clock::now() + kHomeLimit, nullptr);
  return home.inspect();
}

namespace {

/// Why the files could not be made durable; null: they are.
std::exception_ptr try_to_sync(StepContext& context, const ManagedUser& user,
                               const std::vector<std::string>& paths) {
  try {
    if (!paths.empty()) context.home(user, kHomeLimit).sync(paths);
    return nullptr;
  } catch (const Error&) {
    return std::current_exception();
  }
}

}  // namespace

void note_changes(StepContext& context, const ManagedUser& user,
                  const std::vector<FileState>& before, const std::vector<FileState>& after) {
  std::vector<std::string> changed;
  for (const FileState& state : after) {
    const FileState* earlier = find_state(before, state.path);
    if (earlier && !earlier->same(state)) changed.push_back(state.path);
  }
  // First: the journal's word for a content is worth nothing if a power cut tears it.
  const std::exception_ptr unsynced = try_to_sync(context, user, changed);
  for (const std::string& path : changed) {
    context.touched[user.who.uid].insert(path);
    context.note({{"uid", user.who.uid},
                  {"before", to_json(*find_state(before, path))},
                  {"after", to_json(*find_state(after, path))}});
    context.log.emit_about(user.who.uid, Tier::kWarning, "config.changed",
                           {{"user", user.who.name}, {"file", "~/" + escape_path(path)}});
  }
  if (after.empty() && !before.empty()) {
    context.note({{"uid", user.who.uid}, {"unseen", true}});
  }
  if (unsynced) std::rethrow_exception(unsynced);
}

namespace {

/// Judges the release in the real home. However the checks end, what the release changed must be
/// known for the undo.
void judge_in_home(StepContext& context, const ManagedUser& user,
                   const std::vector<CheckSpec>& specs, Deadline end, Judgement& judgement) {
  const std::string home = user.homeless ? make_scratch(context, user) : user.who.home;
  // Before adoption the old one stood where the new one stands now: there is nothing to compare.
  const auto old = context.plan.from == kBefore ? std::nullopt : old_target(context, home);
  if (!user.homeless) judgement.before = context.home(user, kHomeLimit).inspect();
  const auto known = context.baselines.find(user.who.uid);
  CheckJudge judge(check_runner(specs, end, context, user), context.log, checked(context, user),
                   known == context.baselines.end() ? Baseline() : known->second);
  std::exception_ptr failure;
  try {
    judgement.verdict = judge.judge(specs, entry_target(context, home), old);
  } catch (const Error&) {
    failure = std::current_exception();
  }
  if (!user.homeless) judgement.after = look_at_home(context, user);
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

void apply_mid_check(const Step& step, StepContext& context) {
  const Application& app = *context.running.app;
  std::vector<CheckSpec> specs = app.checks;
  if (step.arguments.value("deep", false)) {
    specs.insert(specs.end(), app.deep_checks.begin(), app.deep_checks.end());
  }
  const Deadline end = std::chrono::steady_clock::now() + step.deadline;
  const std::vector<ManagedUser> users = context.active_users();
  std::vector<Judgement> judgements(users.size());
  const UserFailures failures = side_by_side(context, users, [&](std::size_t i) {
    const std::string scratch = make_scratch(context, users[i]);
    CheckJudge judge(check_runner(specs, end, context, users[i]), context.log,
                     checked(context, users[i]));
    judgements[i].verdict = judge.judge(specs, stored_target(context, context.plan.to, scratch),
                                        old_target(context, scratch));
    judgements[i].baseline = judge.baseline();
  });
  for (std::size_t i = 0; i < users.size(); ++i) {
    context.baselines[users[i].who.uid] = judgements[i].baseline;
  }
  settle(context, users, failures, judgements);
}

void undo_mid_check(StepContext& context) {
  remove_scratch(context.tools, context.plan.job, context.plan.users);
}

void apply_post_check(const Step& step, StepContext& context) {
  if (context.plan.to == kBefore && !anything_stands(context)) return;
  const auto specs = post_checks(*context.running.app, step.arguments.value("full", false));
  const Deadline end = std::chrono::steady_clock::now() + step.deadline;
  const std::vector<ManagedUser> users = context.active_users();
  std::vector<Judgement> judgements(users.size());
  const UserFailures failures = side_by_side(context, users, [&](std::size_t i) {
    judge_in_home(context, users[i], specs, end, judgements[i]);
  });
  for (std::size_t i = 0; i < users.size(); ++i) {
    note_changes(context, users[i], judgements[i].before, judgements[i].after);
  }
  settle(context, users, failures, judgements);
}

namespace {

/// A damaged file of the release before, which shares its content with the new one: nothing can
/// change one without the other. Empty: there is none.
std::string damaged_with(const StepContext& context, const std::vector<Damage>& damages) {
  const Layout& layout = context.tools.layout;
  const std::string& app = context.plan.app;
  for (const Damage& damage : damages) {
    const std::string name = "/" + unescape_path(damage.path);
    const auto here = context.tools.fs.info(layout.tree(app, context.plan.to) + name);
    const auto there = context.tools.fs.info(layout.tree(app, context.plan.from) + name);
    if (here && there && here->inode == there->inode) return damage.path;
  }
  return "";
}

}  // namespace

void require_untouched(StepContext& context) {
  const std::string& release = context.plan.to;
  if (release == kBefore) return;
  const auto damages = context.releases.damage_since(release, context.marks);
  if (damages.empty()) return;
  for (const Damage& damage : damages) {
    context.log.error("check.damaged",
                      {{"release", release}, {"file", damage.path}, {"reason", damage.what}});
  }
  const std::string first = damages[0].path + " " + damages[0].what;
  const std::string reason = "it changed its own files while it was checked: " + first;
  json damaged{{release, first}};
  const std::string shared = damaged_with(context, damages);
  if (!shared.empty()) damaged[context.plan.from] = shared + " was changed through " + release;
  context.verdict = {false, true, "own files", reason};
  throw Error(
      Code::kCheck, "check 'own files' failed: " + reason,
      {{"check", "own files"}, {"reason", reason}, {"regression", true}, {"damaged", damaged}});
}

}  // namespace mcpu
