#include "daemon/retention.hpp"

#include <algorithm>
#include <charconv>

#include "daemon/denied_releases.hpp"
#include "daemon/durable.hpp"
#include "daemon/job_log.hpp"
#include "daemon/job_record.hpp"
#include "daemon/release_health.hpp"
#include "daemon/release_id.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

/// Snapshots of jobs that nothing needs any more stay if they hold what was found in a home and
/// replaced there: so many, the newest.
constexpr std::size_t kKeptCopies = 20;

void keep_release(Kept& kept, const std::string& release, const std::string& reason) {
  if (release.empty() || release == kBefore) return;
  std::vector<std::string>& reasons = kept.releases[release];
  // A job that installed the same release again names it twice.
  if (std::ranges::find(reasons, reason) == reasons.end()) reasons.push_back(reason);
}

/// What retention does not keep, whether a process runs from it or not.
std::vector<std::string> not_kept(const ReleaseStore& store, const ApplicationState& state,
                                  const Retention& retention) {
  std::vector<std::string> releases;
  if (state.marks_lost) return releases;
  const Kept kept = what_to_keep(state, store.current().value_or(""), retention);
  for (const std::string& id : store.list()) {
    if (!kept.releases.contains(id)) releases.push_back(id);
  }
  return releases;
}

/// Whether it is gone: it stays while a process runs from it.
bool remove_release(ReleaseStore& store, const std::string& id, JobLog& log) {
  std::uint64_t bytes = 0;
  try {
    bytes = store.read(id).bytes;
  } catch (const Error&) {  // damaged: only its size is unknown
  }
  const bool removed = store.remove(id);
  if (removed) {
    log.info("prune.removed", {{"release", id}, {"bytes", format_bytes(bytes)}});
  } else {
    log.info("prune.kept", {{"release", id}, {"reason", "a process still runs from it"}});
  }
  return removed;
}

/// Whether a job's snapshot is all that is left of what somebody had in a home or as a command.
bool holds_only_copy(FileSystem& fs, const std::string& snapshot) {
  // A file that somebody had put in the place of a command.
  const std::string commands = snapshot + "/entry-points";
  if (fs.info(commands) && fs.list(commands).size() > 1) return true;
  return std::ranges::any_of(fs.list(snapshot), [&](const std::string& user) {
    return fs.info(snapshot + "/" + user + "/found").has_value();
  });
}

void prune_snapshots(FileSystem& fs, const Layout& layout, const std::set<JobId>& kept) {
  if (!fs.info(layout.snapshots())) return;
  std::set<JobId, std::greater<>> ids;
  for (const std::string& name : fs.list(layout.snapshots())) {
    JobId id = 0;
    std::from_chars(name.data(), name.data() + name.size(), id);
    if (id != 0) ids.insert(id);
  }
  std::size_t copies = 0;
  for (const JobId id : ids) {
    if (kept.contains(id)) continue;
    const std::string snapshot = layout.snapshot(id);
    if (holds_only_copy(fs, snapshot) && ++copies <= kKeptCopies) continue;
    remove_tree(fs, snapshot);
  }
}

/// The jobs whose logs tell why a release is denied.
std::set<JobId> denying_jobs(FileSystem& fs, const Layout& layout) {
  std::set<JobId> jobs;
  const std::string apps = layout.state + "/apps";
  if (!fs.info(apps)) return jobs;
  for (const std::string& app : fs.list(apps)) {
    for (const DeniedRelease& one : DeniedReleases(fs, layout, app).list()) jobs.insert(one.job);
  }
  return jobs;
}

void prune_records(FileSystem& fs, const Layout& layout, const std::set<JobId>& kept,
                   std::size_t newest, JobId before) {
  JobRecords records(fs, layout);
  const auto all = records.list();
  for (std::size_t i = 0; i + newest < all.size(); ++i) {
    if (!kept.contains(all[i]) && all[i] < before) records.remove(all[i]);
  }
}

}  // namespace

Kept what_to_keep(const ApplicationState& state, const std::string& current,
                  const Retention& retention) {
  Kept kept;
  // What stood before adoption stands there again: this is the release that a rollback comes back
  // to.
  const std::string standing = state.left() ? kBefore : current;
  keep_release(kept, current, state.left() ? "to roll back to" : "current");
  for (const std::string& pin : state.pins) keep_release(kept, pin, "pinned");
  unsigned quick = 0, full = 0;
  bool way_back_found = false;
  for (auto entry = state.history.rbegin(); entry != state.history.rend(); ++entry) {
    const bool back = !way_back_found && !entry->from.empty() && entry->from != kBefore &&
                      without_copy(entry->from) != without_copy(standing);
    if (back) {
      way_back_found = true;
      keep_release(kept, entry->from, "to roll back to");
      kept.jobs.insert(entry->job);
    }
    unsigned& count = entry->mode == Mode::kFull ? full : quick;
    const unsigned limit = entry->mode == Mode::kFull ? retention.full_jobs : retention.quick_jobs;
    if (count >= limit) continue;
    kept.jobs.insert(entry->job);
    // What is damaged is no way back: it does not take the place of an older one that is.
    if (known_damage(state, entry->from)) continue;
    ++count;
    const std::string reason = "job " + std::to_string(entry->job);
    keep_release(kept, entry->from, reason);
    keep_release(kept, entry->to, reason);
  }
  if (!state.history.empty()) kept.jobs.insert(state.history.back().job);
  return kept;
}

std::vector<std::string> unneeded_releases(FileSystem& fs, const Layout& layout,
                                           const std::string& app, const State& state,
                                           const Retention& retention) {
  const ReleaseStore store(fs, layout, app);
  auto releases = not_kept(store, state.application(app), retention);
  std::erase_if(releases, [&](const std::string& id) { return store.in_use(id); });
  return releases;
}

std::vector<std::string> prune(FileSystem& fs, const Layout& layout, const std::string& app,
                               const State& state, const Retention& retention, JobLog& log) {
  std::vector<std::string> removed;
  try {
    ReleaseStore store(fs, layout, app);
    for (const std::string& id : not_kept(store, state.application(app), retention)) {
      if (remove_release(store, id, log)) removed.push_back(id);
    }
    std::set<JobId> jobs;
    for (const auto& [name, one] : state.applications) {
      const std::string current = ReleaseStore(fs, layout, name).current().value_or("");
      jobs.merge(what_to_keep(one, current, retention).jobs);
    }
    prune_snapshots(fs, layout, jobs);
    jobs.merge(denying_jobs(fs, layout));
    prune_records(fs, layout, jobs, retention.jobs, log.job());
  } catch (const Error& error) {
    log.warning("prune.failed", {{"reason", error.what()}});
  }
  return removed;
}

}  // namespace mcpu
