#include "daemon/job_planner.hpp"

#include <algorithm>

#include "daemon/changelog.hpp"
#include "daemon/durable.hpp"
#include "daemon/managed_users.hpp"
#include "daemon/problem.hpp"
#include "daemon/release_weighing.hpp"
#include "daemon/source_rights.hpp"
#include "proto/error.hpp"
#include "proto/parameters.hpp"
#include "proto/url.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

ReleaseInfo release_info(const ResolvedSource& source) {
  ReleaseInfo info;
  info.version = source.version;
  info.origin = source.location;
  info.commit = source.commit;
  info.digest = source.listing.digest();
  info.id = ReleaseStore::make_id(info.version, info.digest);
  info.time = now();
  info.files = source.listing.entries().size();
  info.bytes = source.listing.total_bytes();
  info.changelog = source.changelog;
  return info;
}

/// A version that was another commit when it was staged: somebody moved its tag.
void refuse_moved_tag(const ReleaseStore& store, const ReleaseInfo& fresh) {
  for (const std::string& id : store.list()) {
    const ReleaseInfo known = store.describe(id);
    if (known.origin != fresh.origin || known.version != fresh.version) continue;
    if (known.commit.empty() || known.commit == fresh.commit) continue;
    throw Error(Code::kSource, "the tag of version " + fresh.version + " (v" + fresh.version +
                                   ") of " + fresh.origin + " moved from commit " + known.commit +
                                   " to " + fresh.commit + ": ask its publisher why; --to " +
                                   fresh.commit + " takes it all the same");
  }
}

/// Names the source in what a library said of it, or what its worker did.
Error named(const Error& error, const std::string& location) {
  const std::string text = error.what(), shown = escape_path(without_password(location));
  const bool of_source = error.code() == Code::kSource || error.code() == Code::kWorker;
  if (!of_source || text.find(shown) != text.npos) return error;
  return Error(error.code(), shown + ": " + text, error.context());
}

/// Jobs whose switches lie between the present and the target, newest first.
std::vector<JobId> jobs_back_to(const std::vector<HistoryEntry>& history,
                                const std::string& target) {
  std::vector<JobId> jobs;
  for (auto entry = history.rbegin(); entry != history.rend(); ++entry) {
    jobs.push_back(entry->job);
    // Before adoption nothing may have stood there.
    if (entry->from == target || (target == kBefore && entry->from.empty())) return jobs;
  }
  return {};
}

}  // namespace

EntryPoints entry_points_of(const JobEnvironment& environment, const Application& app) {
  return {environment.tools.fs, environment.tools.layout, app.name, app.entry_points,
          environment.tools.launcher};
}

PreparedJob JobPlanner::prepare(const JobRecord& record) {
  switch (record.request.kind) {
    case JobKind::kRollback:
      return prepare_rollback(record);
    case JobKind::kRepair:
      return prepare_repair(record);
    case JobKind::kUpgrade:
    case JobKind::kCheck:
      break;
  }
  return prepare_upgrade(record);
}

void JobPlanner::check(const JobRequest& request) const {
  const Application& app = environment_.configuration->application(request.app);
  const EntryPoints entry_points = entry_points_of(environment_, app);
  if (request.kind == JobKind::kUpgrade) location(request, app, entry_points);
  if (request.kind != JobKind::kRollback) return;
  const ReleaseStore store = store_of(app);
  const std::string target = rollback_target(request, store, standing(app, entry_points, store));
  if (target == kBefore) require_adopted(app, entry_points);
}

void JobPlanner::require_adopted(const Application& app, const EntryPoints& entry_points) const {
  const std::string adoption = environment_.tools.layout.adoption(app.name);
  const bool adopted = environment_.tools.fs.info(adoption + "/entry-points.json").has_value();
  if (adopted && !entry_points.stands_as_recorded(adoption)) return;
  const bool lost = !adopted && !state_.application(app.name).history.empty();
  throw Error(Code::kNothingToRollBack,
              adopted ? "what stood there before adoption stands there already"
              : lost  ? "what stood there before adoption is not known: " + escape_path(adoption) +
                           "/entry-points.json is gone"
                     : "nothing was adopted, so nothing stood there before");
}

std::string JobPlanner::standing(const Application& app, const EntryPoints& entry_points,
                                 const ReleaseStore& store) const {
  const ApplicationState& state = state_.application(app.name);
  // A link that somebody removed or replaced makes the current release no less the current one.
  const std::string current = store.current().value_or("");
  const bool ever = std::ranges::any_of(
      state.history, [&](const HistoryEntry& entry) { return entry.to == current; });
  if (!state.left() && (ever || store.exists(current))) return current;
  const bool something_stands = std::ranges::any_of(app.entry_points, [&](const EntryPoint& entry) {
    return entry_points.at_link(entry).kind != Standing::Kind::kNothing &&
           !entry_points.leads_to_launcher(entry);
  });
  return something_stands ? kBefore : "";
}

PlanFacts JobPlanner::facts(const JobRecord& record, const Application& app,
                            const EntryPoints& entry_points, const ReleaseStore& store) const {
  PlanFacts facts;
  FileSystem& fs = environment_.tools.fs;
  facts.job = record.id;
  facts.request = record.request;
  facts.by = record.by;
  facts.app = &app;
  facts.limits = environment_.configuration->limits;
  facts.users = users(record, app, entry_points);
  facts.user_mode = environment_.user_mode;
  facts.current = store.current().value_or("");
  facts.entry_points = !entry_points.in_place();
  facts.first_adoption =
      !fs.info(environment_.tools.layout.adoption(app.name) + "/entry-points.json");
  facts.from = standing(app, entry_points, store);
  return facts;
}

PreparedJob JobPlanner::begin(const JobRequest& request) const {
  PreparedJob job;
  job.configuration = environment_.configuration;
  job.app = &job.configuration->application(request.app);
  return job;
}

PreparedJob JobPlanner::prepare_upgrade(const JobRecord& record) {
  PreparedJob job = begin(record.request);
  const EntryPoints entry_points = entry_points_of(environment_, *job.app);
  const ReleaseStore store = store_of(*job.app);
  const std::string source = location(record.request, *job.app, entry_points);
  job.source = open_source(record.request, *job.app, source);
  const ResolvedSource& resolved = job.source->resolved();
  ReleaseInfo fresh = release_info(resolved);
  log_.info("resolve.release",
            {{"release", fresh.id}, {"version", fresh.version}, {"origin", fresh.origin}});
  if (!record.request.to && !record.request.from && !record.request.worktree) {
    newest_ = Newest{fresh.version, fresh.digest.hex(), now()};
  }

  if (resolved.kind == "repository" && !record.request.to) refuse_moved_tag(store, fresh);

  PlanFacts facts = this->facts(record, *job.app, entry_points, store);
  std::optional<ReleaseInfo> current;
  Listing current_listing;
  if (store.exists(facts.current)) {  // else it is to be mended
    current = store.describe(facts.current);
    current_listing = listing_left(store, facts.current);
  }
  // Hashing the whole tree is worth it only where the answer decides something.
  const bool same = current && current->digest == fresh.digest;
  const bool in_place = same && !facts.entry_points && facts.from == facts.current &&
                        damage(store, facts.current).empty();
  const bool stands = facts.from == facts.current;
  const DeniedReleases denied(environment_.tools.fs, environment_.tools.layout, job.app->name);
  Weighed weighed =
      weigh_release({record.request, fresh, stands ? current : std::nullopt, in_place},
                    state_.application(job.app->name), denied, log_);
  job.clear_denied = std::move(weighed.clear_denied);
  job.early = std::move(weighed.early);
  if (job.early) return job;

  if (store.exists(fresh.id)) {
    const std::string& damaged = damage(store, fresh.id);
    if (damaged.empty()) {
      log_.info("stage.exists", {{"release", fresh.id}});
    } else {
      // A damaged tree keeps its name while processes run from it; the good one gets another.
      log_.warning("stage.damaged", {{"release", fresh.id}, {"reason", damaged}});
      fresh.id += "~" + std::to_string(record.id);
    }
  }
  facts.stage = !store.exists(fresh.id);
  facts.to = fresh.id;
  job.changes = compare(current_listing, resolved.listing);
  if (facts.stage) job.needed_bytes += fresh.bytes;
  if (current) {
    job.changelog = changes_between(fresh.changelog, current->version, fresh.version);
  }
  job.release = fresh;
  job.plan = plan_upgrade(facts);
  return job;
}

const std::string& JobPlanner::damage(const ReleaseStore& store, const std::string& id) {
  if (const auto known = compared_.find(id); known != compared_.end()) return known->second;
  const auto damages = store.verify(id);
  return compared_[id] = damages.empty() ? "" : damages[0].path + " " + damages[0].what;
}

Listing JobPlanner::listing_left(const ReleaseStore& store, const std::string& id) {
  Listing listing;
  try {
    listing = store.listing(id);
    store.exec(id);
  } catch (const Error& error) {
    log_.warning("release.unreadable", {{"release", id}, {"reason", error.what()}});
    compared_[id] = error.what();
  }
  return listing;
}

std::string JobPlanner::location(const JobRequest& request, const Application& app,
                                 const EntryPoints& entry_points) const {
  if (request.from) {
    if (!relative_path(*request.from)) return *request.from;
    throw invalid_parameter("from", "is a relative path: give it from / on, or a URL");
  }
  if (!app.source.empty()) return app.source;
  const std::string adopted = entry_points.checkout(environment_.tools.layout.adoption(app.name));
  if (!adopted.empty()) return adopted;
  throw Error(Code::kNoSource, "no source is known for application '" + app.name +
                                   "': name one with --from PATH-OR-URL, or set applications." +
                                   app.name + ".source in the configuration");
}

std::unique_ptr<SourceSession> JobPlanner::open_source(const JobRequest& request,
                                                       const Application& app,
                                                       const std::string& location) {
  const Configuration& configuration = *environment_.configuration;
  SourceRequest wanted;
  wanted.location = location;
  wanted.to = request.to;
  wanted.worktree = request.worktree;
  wanted.closed = !environment_.user_mode;
  wanted.cache_directory = environment_.tools.layout.app_cache(app.name);
  wanted.known_hosts = configuration.known_hosts;
  wanted.ca_file = configuration.ca_file;
  wanted.exclude = app.exclude;
  for (const EntryPoint& entry : app.entry_points) wanted.entry_paths.push_back(entry.path);
  wanted.changelog_path = app.changelog;
  wanted.limits = configuration.limits.tree;
  wanted.max_clone_bytes = configuration.limits.clone_bytes;
  const Identity who =
      environment_.user_mode ? own_identity() : source_identity(environment_.tools.fs, location);
  if (!environment_.user_mode && !location.starts_with("/")) {
    make_cache(environment_.tools.fs, environment_.tools.layout, app.name, who);
  }
  const SourceLimit limit("limits.resolve_seconds", configuration.limits.resolve);
  std::unique_ptr<SourceSession> session;
  try {
    session = SourceSession::open(environment_.tools.processes, who, wanted, limit, cancellation_,
                                  [&](const Notice& notice) { log_.emit(notice); });
  } catch (const Error& error) {
    throw named(error, location);
  }
  for (const Notice& notice : session->resolved().notices) log_.emit(notice);
  return session;
}

std::vector<ManagedUser> JobPlanner::users(const JobRecord& record) const {
  const Application& app = environment_.configuration->application(record.request.app);
  return users(record, app, entry_points_of(environment_, app));
}

std::vector<ManagedUser> JobPlanner::users(const JobRecord& record, const Application& app,
                                           const EntryPoints& entry_points) const {
  if (environment_.user_mode) return {{own_identity(), true}};
  UserFacts facts{environment_.configuration->users, environment_.configuration->required_users,
                  std::nullopt, record.login_uid};
  for (const std::string& place :
       {entry_points.checkout(environment_.tools.layout.adoption(app.name)), app.source,
        record.request.from.value_or("")}) {
    if (!facts.owner) facts.owner = owner_of_path(environment_.tools.fs, place);
  }
  return managed_users(facts, log_);
}

std::string JobPlanner::rollback_target(const JobRequest& request, const ReleaseStore& store,
                                        const std::string& standing) const {
  if (request.to == kBefore) return kBefore;
  if (request.to) return store.find(*request.to);
  const auto& history =
      state_.application(environment_.configuration->application(request.app).name).history;
  const std::string earlier = release_before(history, standing);
  if (store.exists(earlier)) return earlier;
  if (!earlier.empty()) {
    throw Error(Code::kNothingToRollBack,
                "release " + earlier +
                    ", which stood before, is gone: name another one with --to, see "
                    "'mcpctl releases'");
  }
  throw Error(Code::kNothingToRollBack,
              "there is no earlier release to roll back to; what stood there before adoption comes "
              "back with 'mcpctl rollback --to before'");
}

PreparedJob JobPlanner::prepare_rollback(const JobRecord& record) {
  PreparedJob job = begin(record.request);
  const EntryPoints entry_points = entry_points_of(environment_, *job.app);
  const ReleaseStore store = store_of(*job.app);
  PlanFacts facts = this->facts(record, *job.app, entry_points, store);
  facts.to = rollback_target(record.request, store, facts.from);
  if (facts.to == facts.from && !facts.entry_points) {
    job.early = {Outcome::kNothingToDo, "already there: " + facts.to, json::object()};
    return job;
  }
  if (facts.to == kBefore) {
    require_adopted(*job.app, entry_points);
  } else {
    const std::string& damaged = damage(store, facts.to);
    if (!damaged.empty()) {
      throw Error(Code::kRefused,
                  "release " + facts.to + " is damaged: " + damaged +
                      "; stage it again with 'mcpctl upgrade " +
                      upgrade_options(store.describe(facts.to)) + "'",
                  {{"reason", "damaged"}});
    }
    job.release = store.read(facts.to);
    job.clear_denied = job.release->digest.hex();
  }
  facts.walk_back = jobs_back_to(state_.application(job.app->name).history, facts.to);
  if (facts.to != kBefore && store.exists(facts.current)) {
    job.changes = compare(listing_left(store, facts.current), store.listing(facts.to));
  }
  log_.info("rollback.target", {{"release", facts.to == kBefore ? "before adoption" : facts.to}});
  job.plan = plan_rollback(facts);
  return job;
}

std::string JobPlanner::release_in_use(const Application& app, const ReleaseStore& store) const {
  const ApplicationState& state = state_.application(app.name);
  if (state.left()) return "";
  const std::string last = state.history.empty() ? "" : state.history.back().to;
  return store.current().value_or(store.exists(last) ? last : "");
}

PreparedJob JobPlanner::prepare_repair(const JobRecord& record) {
  PreparedJob job = begin(record.request);
  const EntryPoints entry_points = entry_points_of(environment_, *job.app);
  const ReleaseStore store = store_of(*job.app);
  PlanFacts facts = this->facts(record, *job.app, entry_points, store);
  facts.from = facts.to = release_in_use(*job.app, store);
  if (facts.to.empty()) {
    const bool left = state_.application(job.app->name).left();
    if (!left && !state_.application(job.app->name).history.empty()) {
      throw refused(
          "no release is left that the command could run: 'mcpctl upgrade' installs one, with "
          "--from PATH-OR-URL where no source is known");
    }
    job.early = {
        Outcome::kNothingToDo,
        left ? "what stood there before adoption stands there again: nothing is ours to mend"
             : "nothing is installed, so nothing is to be mended: 'mcpctl upgrade' installs",
        json::object()};
    return job;
  }
  const std::string& damaged = damage(store, facts.to);
  if (!damaged.empty()) {
    const std::string what =
        "release " + facts.to + " is damaged (" + damaged + "): " + kMendRelease;
    if (facts.current.empty() || !facts.entry_points) {
      throw Error(Code::kRefused, what, {{"reason", "damaged"}});
    }
    log_.warning("repair.left", {{"what", what}});
  }
  if (facts.current == facts.to && !facts.entry_points) {
    job.early = {Outcome::kNothingToDo,
                 "nothing is to be mended: the command, its launcher and the release are whole",
                 json::object()};
    return job;
  }
  job.release = store.describe(facts.to);
  job.plan = plan_repair(facts);
  return job;
}

}  // namespace mcpu
