#include <algorithm>

#include "daemon/durable.hpp"
#include "daemon/user_steps.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

/// For the job of another instance in the same home; short enough to be told who holds it.
constexpr std::chrono::seconds kLockWait{8};

/// A file's present content, read by the owner's worker.
std::string read_present(const ManagedUser& user, StepContext& context, const std::string& path) {
  Home one(context.tools.processes, user.who, {{path, "other", ""}});
  one.limit(std::chrono::steady_clock::now() + kHomeLimit, nullptr);
  std::string content;
  one.save([&](const FileState&, std::string_view piece, bool) { content += piece; });
  return content;
}

std::string content_of(const Snapshot& snapshot, const FileState& state) {
  return state.exists ? snapshot.content(state) : "";
}

void tell(StepContext& context, const ManagedUser& user, Tier tier, const char* id,
          const std::string& path, const std::string& reason = "") {
  json fields{{"user", user.who.name}, {"file", "~/" + escape_path(path)}};
  if (!reason.empty()) fields["reason"] = reason;
  context.log.emit_about(user.who.uid, tier, id, fields);
}

/// Puts a file back to `wanted` if it still is as `expected`, keeping what is found there.
void put_back(StepContext& context, const ManagedUser& user, Snapshot& keeper,
              const FileState& found, const FileState& wanted, const std::string& content) {
  std::string kept;
  if (found.exists) kept = keeper.keep_found(found, read_present(user, context, found.path));
  Home& home = context.home(user, kHomeLimit);
  const RestoreResult result = home.restore(wanted, content, found);
  if (result.restored) {
    tell(context, user, Tier::kInfo, kept.empty() ? "config.restored" : "config.restored_over",
         wanted.path, kept);
  } else {
    tell(context, user, Tier::kWarning, "config.kept", wanted.path, result.problem);
  }
}

/// Returns the lock on the home.
HomeLock save_user(StepContext& context, const ManagedUser& user) {
  Home& home = context.home(user, kHomeLimit);
  HomeLock lock = home.lock(kLockWait);
  const std::vector<FileState> states = context.snapshot(user).save(home);
  std::size_t files = 0;
  std::uint64_t bytes = 0;
  for (const FileState& state : states) {
    if (!state.problem.empty()) {
      throw Error(Code::kRefused,
                  "~/" + escape_path(state.path) + " of " + user.who.name +
                      " cannot be kept safe: " + state.problem,
                  {{"reason", state.problem}});
    }
    files += state.exists ? 1 : 0;
    bytes += state.size_bytes;
  }
  context.log.emit_about(
      user.who.uid, Tier::kInfo, "snapshot.saved",
      {{"user", user.who.name}, {"files", files}, {"bytes", format_bytes(bytes)}});
  return lock;
}

/// A rollback's target for one file: walks back through the jobs while the file still has that
/// job's «after» content.
struct WalkBack {
  std::optional<FileState> wanted;
  JobId job = 0;   ///< whose snapshot holds the wanted content
  JobId kept = 0;  ///< the newest whose release changed the file, which somebody has edited since
};

/// What a file goes back to behind one job. Its mode only if the release set it: a file that
/// somebody closed is never opened again.
FileState one_back(const FileState& reached, const FileState& before, const FileState* after,
                   bool by_release) {
  FileState state = before;
  if (!reached.exists || after == nullptr || !after->exists) return state;
  const bool set_since = after->mode != reached.mode;
  const bool set_meanwhile = !by_release && after->mode != before.mode;
  if (set_since || set_meanwhile) state.mode = reached.mode;
  return state;
}

WalkBack walk_back(StepContext& context, const ManagedUser& user, const FileState& present,
                   const std::vector<JobId>& jobs, bool always) {
  WalkBack walk;
  FileState reached = present;
  bool edited = false;
  for (const JobId job : jobs) {
    const Snapshot snapshot = context.snapshot(user, job);
    if (!snapshot.complete()) break;
    const auto before_states = snapshot.before();
    const auto after_states = snapshot.after();
    const FileState* before = find_state(before_states, present.path);
    const FileState* after = after_states ? find_state(*after_states, present.path) : nullptr;
    if (!before || (!after && !always)) break;
    const bool by_release =
        after && !after->same(*before) && snapshot.touched().contains(present.path);
    // Since that job, or in the middle of it: not ours to take back.
    const bool here =
        after && after->same_content(reached) && (by_release || before->same_content(*after));
    edited = edited || (!always && !here);
    if (edited && by_release && walk.kept == 0) walk.kept = job;
    if (edited) continue;
    reached = one_back(reached, *before, after, by_release);
    walk.wanted = reached;
    walk.job = job;
  }
  return walk;
}

/// One warning for all: what retention removed was of many jobs.
void tell_unsaved(StepContext& context, const ManagedUser& user, const std::vector<JobId>& jobs) {
  std::set<JobId> unsaved;
  for (const JobId job : jobs) {
    const Snapshot snapshot = context.snapshot(user, job);
    if (!snapshot.complete() || !snapshot.after()) unsaved.insert(job);
  }
  if (unsaved.empty()) return;
  const std::string first = std::to_string(*unsaved.begin());
  const std::string which = unsaved.size() == 1
                                ? "job " + first
                                : std::to_string(unsaved.size()) + " jobs, " + first + " to " +
                                      std::to_string(*unsaved.rbegin());
  context.log.emit_about(user.who.uid, Tier::kWarning, "config.unsaved",
                         {{"user", user.who.name}, {"jobs", which}});
}

void tell_kept(StepContext& context, const ManagedUser& user, const std::string& path, JobId job) {
  tell(context, user, Tier::kWarning, "config.kept", path,
       "it was edited after the upgrade; the version before the upgrade is in " +
           context.snapshot(user, job).directory());
  context.config_lines.push_back({user.who.uid, "kept, edited since: ~/" + escape_path(path)});
}

void restore_user(StepContext& context, const ManagedUser& user, const std::vector<JobId>& jobs,
                  bool always) {
  tell_unsaved(context, user, jobs);
  Home& home = context.home(user, kHomeLimit);
  for (const FileState& present : home.inspect()) {
    const WalkBack walk = walk_back(context, user, present, jobs, always);
    if (walk.kept != 0) tell_kept(context, user, present.path, walk.kept);
    if (!walk.wanted || walk.wanted->same(present)) continue;
    const FileState& wanted = *walk.wanted;
    const std::string content = content_of(context.snapshot(user, walk.job), wanted);
    context.note({{"uid", user.who.uid}, {"wanted", to_json(wanted)}});
    const RestoreResult result = home.restore(wanted, content, present);
    if (result.restored) context.touched[user.who.uid].insert(present.path);
    tell(context, user, result.restored ? Tier::kInfo : Tier::kWarning,
         result.restored ? "config.restored" : "config.kept", present.path, result.problem);
    context.config_lines.push_back({user.who.uid, (result.restored ? "restored: ~/" : "kept: ~/") +
                                                      escape_path(present.path)});
  }
}

/// What the release changed of one file inside a step that ran it, as the journal's note says.
struct Change {
  FileState before, after;
};

bool has_notes(const ManagedUser& user, const StepTrace& trace) {
  return std::ranges::any_of(trace.notes,
                             [&](const json& note) { return note.at("uid") == user.who.uid; });
}

/// The home could not be looked at after the step, so nobody knows what the release changed in it.
bool is_unseen(const ManagedUser& user, const StepTrace& trace) {
  return std::ranges::any_of(trace.notes, [&](const json& note) {
    return note.at("uid") == user.who.uid && note.contains("unseen");
  });
}

/// The changes to undo for one user: as noted, and, when the daemon died inside the step or could
/// not look afterwards, every other difference from the snapshot.
std::vector<Change> changes_of(const ManagedUser& user, const StepTrace& trace, bool interrupted,
                               const std::vector<FileState>& saved,
                               const std::vector<FileState>& present) {
  std::vector<Change> changes;
  for (const json& note : trace.notes) {
    if (note.at("uid") != user.who.uid || note.contains("unseen")) continue;
    changes.push_back(
        {file_state_from_json(note.at("before")), file_state_from_json(note.at("after"))});
  }
  if (!interrupted) return changes;
  for (const FileState& state : present) {
    const bool noted = std::ranges::any_of(
        changes, [&](const Change& one) { return one.after.path == state.path; });
    const FileState* before = find_state(saved, state.path);
    if (!noted && before && !before->same(state)) changes.push_back({*before, state});
  }
  return changes;
}

/// A version of a file as some snapshot holds it.
struct Saved {
  FileState state;
  std::string content;
};

/// The version before a change: this job's snapshot has it, or, when a step of this job put an
/// older one back, that of an earlier job. Empty: somebody edited the file in between.
std::optional<Saved> version_before(const Change& change, const FileState& saved,
                                    const ManagedUser& user, StepContext& context) {
  if (saved.same_content(change.before)) {
    return Saved{saved, content_of(context.snapshot(user), saved)};
  }
  for (const Step& step : context.plan.steps) {
    if (step.kind != StepKind::kRestoreConfigs) continue;
    for (const JobId job : step.arguments.at("jobs").get<std::vector<JobId>>()) {
      const Snapshot snapshot = context.snapshot(user, job);
      if (!snapshot.complete()) continue;
      const auto states = snapshot.before();
      const FileState* state = find_state(states, saved.path);
      if (state && state->same_content(change.before)) {
        return Saved{*state, content_of(snapshot, *state)};
      }
    }
  }
  return std::nullopt;
}

}  // namespace

void apply_snapshot(const Step&, StepContext& context) {
  const std::vector<ManagedUser> users = context.users_with_home();
  std::vector<HomeLock> locks(users.size());
  const UserFailures failures =
      side_by_side(context, users, [&](std::size_t i) { locks[i] = save_user(context, users[i]); });
  for (std::size_t i = 0; i < users.size(); ++i) {
    if (!failures[i]) {
      context.home_locks[users[i].who.uid] = std::move(locks[i]);
    } else if (!users[i].required) {
      context.snapshot(users[i]).discard();
    }
  }
  settle_failures(context, users, failures, "snapshot.skipped");
}

namespace {

/// Names what is not as it was saved and keeps the saved versions. It was somebody's edit, or the
/// release reached out of its scratch home in the mid-check: nobody can tell, so it stays.
void tell_differences(StepContext& context, const ManagedUser& user, Snapshot& snapshot) {
  const auto saved = snapshot.before();
  for (const FileState& state : context.home(user, kHomeLimit).inspect()) {
    const FileState* before = find_state(saved, state.path);
    if (!before || before->same(state)) continue;
    snapshot.keep();
    context.differs = true;
    tell(context, user, Tier::kWarning, "config.differs", state.path,
         "as it was before: " + snapshot.directory());
  }
}

}  // namespace

void undo_snapshot(StepContext& context) {
  undo_in_homes(context, [&](const ManagedUser& user) {
    Snapshot snapshot = context.snapshot(user);
    if (!snapshot.complete() || context.away.contains(user.who.uid)) return;
    // A worker that was killed in the middle of a restore left a file beside the user's.
    context.home(user, kHomeLimit).clean();
    tell_differences(context, user, snapshot);
  });
  for (const ManagedUser& user : context.plan.users) context.snapshot(user).discard();
  context.home_locks.clear();
}

void apply_restore_configs(const Step& step, StepContext& context) {
  const auto jobs = step.arguments.at("jobs").get<std::vector<JobId>>();
  const bool always = step.arguments.at("policy") == policy_name(ConfigPolicy::kAlways);
  // One after the other: each file that is put back is noted in the journal first.
  const std::vector<ManagedUser> users = context.users_with_home();
  const UserFailures failures = one_by_one(
      users, [&](const ManagedUser& user) { restore_user(context, user, jobs, always); });
  settle_failures(context, users, failures, "snapshot.skipped");
}

void undo_restore_configs(const Step&, StepContext& context, const StepTrace& trace) {
  undo_in_homes(context, [&](const ManagedUser& user) {
    Snapshot snapshot = context.snapshot(user);
    // Discarded: an undo before this one had put everything back.
    if (!snapshot.complete() || !has_notes(user, trace)) return;
    context.require_home(user);
    const auto before = snapshot.before();
    for (const json& note : trace.notes) {
      if (note.at("uid") != user.who.uid) continue;
      const FileState wanted = file_state_from_json(note.at("wanted"));
      const FileState* original = find_state(before, wanted.path);
      if (!original) continue;
      context.home(user, kHomeLimit).restore(*original, content_of(snapshot, *original), wanted);
      context.home(user, kHomeLimit).sync({wanted.path});
    }
  });
}

void apply_record_after(const Step&, StepContext& context) {
  const std::vector<ManagedUser> users = context.users_with_home();
  const UserFailures failures = side_by_side(context, users, [&](std::size_t i) {
    const auto states = context.home(users[i], kHomeLimit).inspect();
    const auto touched = context.touched.find(users[i].who.uid);
    context.snapshot(users[i]).record_after(
        states, touched == context.touched.end() ? std::set<std::string>() : touched->second);
  });
  settle_failures(context, users, failures, "snapshot.skipped");
}

namespace {

/// Something in a file's place that is none, and what to do.
Error in_the_way(const FileState& now, const Snapshot& snapshot) {
  return Error(Code::kIo, "~/" + escape_path(now.path) + " " + now.problem +
                              ": move it away; as it was before the job it is in " +
                              snapshot.directory());
}

void undo_change(StepContext& context, const ManagedUser& user, const Change& change,
                 const std::vector<FileState>& saved, const std::vector<FileState>& present,
                 bool interrupted) {
  Snapshot snapshot = context.snapshot(user);
  const FileState* now = find_state(present, change.after.path);
  const FileState* before = find_state(saved, change.after.path);
  if (!now || !before || now->same(*before)) return;
  auto wanted = version_before(change, *before, user, context);
  // Or what was in the way is away, as in_the_way() has it.
  const bool as_left =
      now->same_content(change.after) || (!now->exists && !change.after.problem.empty());
  if (!as_left || !wanted) {
    return tell(context, user, Tier::kWarning, "config.conflict", now->path,
                "saved version: " + snapshot.directory());
  }
  if (interrupted) {
    tell(context, user, Tier::kWarning, "config.interrupted", now->path,
         "saved version and the one found are in " + snapshot.directory());
  }
  if (!now->problem.empty()) throw in_the_way(*now, snapshot);
  wanted->state = one_back(*now, change.before, &change.after, true);
  if (now->same(wanted->state)) return;
  put_back(context, user, snapshot, *now, wanted->state, wanted->content);
}

}  // namespace

void undo_release_changes(const Step&, StepContext& context, const StepTrace& trace) {
  undo_in_homes(context, [&](const ManagedUser& user) {
    const Snapshot snapshot = context.snapshot(user);
    const bool interrupted = trace.interrupted || is_unseen(user, trace);
    if (!snapshot.complete() || (!interrupted && !has_notes(user, trace))) return;
    context.require_home(user);
    const auto saved = snapshot.before();
    const auto present = context.home(user, kHomeLimit).inspect();
    std::vector<std::string> paths;
    std::optional<Error> first;
    for (const Change& change : changes_of(user, trace, interrupted, saved, present)) {
      try {
        undo_change(context, user, change, saved, present, interrupted);
        paths.push_back(change.after.path);
      } catch (const Error& error) {
        if (!first) first = error;
      }
    }
    // What stands as before already may have been put there by an undo that did not get so far; an
    // interrupted step's notes do not tell of all of it.
    for (const FileState& state : present) {
      if (interrupted && state.problem.empty()) paths.push_back(state.path);
    }
    if (!paths.empty()) context.home(user, kHomeLimit).sync(paths);
    if (first) throw Error(*first);
  });
}

}  // namespace mcpu
