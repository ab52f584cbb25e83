#include "daemon/queries.hpp"

#include <unistd.h>

#include <algorithm>

#include "daemon/denied_releases.hpp"
#include "daemon/dry_run.hpp"
#include "daemon/durable.hpp"
#include "daemon/entry_status.hpp"
#include "daemon/old_scripts.hpp"
#include "daemon/problem.hpp"
#include "daemon/release_health.hpp"
#include "daemon/retention.hpp"
#include "daemon/services_down.hpp"
#include "daemon/source_rights.hpp"
#include "daemon/stale.hpp"
#include "daemon/version.hpp"
#include "proto/error.hpp"
#include "proto/url.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

std::string release_of(const JobRecord& record) {
  if (!record.result) return "";
  const json& details = record.result->details;
  for (const char* key : {"to", "release"}) {
    if (details.is_object() && details.contains(key) && details.at(key).is_string()) {
      return details.at(key);
    }
  }
  return "";
}

const char* remedy_for(const Error& error) {
  return error.code() == Code::kCorrupt ? kMendRelease : "see why that is so, and mend it by hand";
}

}  // namespace

json Queries::instance() const {
  return {{"version", MCPU_VERSION},
          {"pid", getpid()},
          {"mode", environment_.user_mode ? "user" : "system"},
          {"started", format_time(started_)},
          {"state_directory", escape_path(instance_.layout.state)},
          {"socket", escape_path(instance_.socket)},
          {"configuration", escape_path(instance_.config_file)}};
}

Queries::Queries(JobEnvironment environment, const Instance& instance, TimePoint started,
                 std::shared_ptr<const State> state, QueueView queue, std::vector<json> problems,
                 std::function<bool(std::uint32_t)> may_see)
    : environment_(std::move(environment)),
      instance_(instance),
      started_(started),
      state_(std::move(state)),
      queue_(std::move(queue)),
      problems_(std::move(problems)),
      may_see_(std::move(may_see)) {
  if (!queue_.running) return;
  // The queue hears of a job's end a moment later than those who watch it.
  JobRecords records(environment_.tools.fs, environment_.tools.layout);
  const auto record = records.read(queue_.running->id);
  if (record && record->result) queue_.running.reset();
}

json Queries::status(const std::string& app, bool verify) const {
  json applications = json::array();
  if (!app.empty()) {
    applications.push_back(application(environment_.configuration->application(app), verify));
  } else {
    for (const Application& one : environment_.configuration->applications) {
      applications.push_back(application(one, verify));
    }
  }
  json queued = json::array();
  for (const JobRecord& record : queue_.waiting) queued.push_back(job(record));
  json document{{"instance", instance()},
                {"applications", applications},
                {"queued", queued},
                {"problems", json::array()}};
  if (queue_.running) document["running"] = job(*queue_.running);
  if (queue_.recovered_job != 0) document["running"] = recovery();
  for (const json& one : problems_) document["problems"].push_back(one);
  add_lost_records(document);
  return document;
}

json Queries::recovery() const {
  const JobRecords records(environment_.tools.fs, environment_.tools.layout);
  JobRecord record;
  record.id = queue_.recovered_job;
  json document = job(records.read(record.id).value_or(record));
  document["kind"] = "recovery";
  document["state"] = "recovering";
  document["phase"] = phase_name(Phase::kRecovery);
  return document;
}

json Queries::application(const Application& app, bool verify) const {
  const Tools& tools = environment_.tools;
  const ApplicationState& state = state_->application(app.name);
  const ReleaseStore store(tools.fs, tools.layout, app.name);
  const EntryPoints entry_points = entry_points_of(environment_, app);
  json document{{"app", app.name},           {"paused", state.paused.has_value()},
                {"left", state.left()},      {"entry_points", json::array()},
                {"problems", json::array()}, {"last_job", nullptr}};
  if (const auto record = last_job(app.name)) {
    document["last_job"] = job(*record);
    document["problems"] = services_down(*record, tools.services, environment_.user_mode);
  }
  try {
    const bool left = state.left();
    const Possession possession{left ? "" : store.current().value_or(""),
                                !left && !state.history.empty()};
    add_way_back(state, store, left, document);
    const std::string adoption = tools.layout.adoption(app.name);
    const bool adopted = tools.fs.info(adoption + "/entry-points.json").has_value();
    if (adopted && !entry_points.stands_as_recorded(adoption)) {
      document["before"] = "what stood there before adoption";
    }
    if (!adopted && possession.installed) {
      document["problems"].push_back(
          {{"what", escape_path(adoption) + "/entry-points.json is gone: what stood there before "
                                            "adoption is not known any more"},
           {"remedy", "put it back from a backup, if there is one"},
           {"file", escape_path(adoption) + "/entry-points.json"}});
    }
    const std::string checkout = entry_points.recorded_checkout(adoption);
    const std::string source = app.source.empty() ? checkout : app.source;
    if (!source.empty()) document["source"] = escape_path(without_password(source));
    for (const EntryPoint& entry : app.entry_points) {
      add_entry_status(environment_, app, entry, possession, document);
    }
    if (possession.installed && possession.current.empty()) {
      const char* remedy = store.exists(state.history.back().to) ? "repair'"
                           : !source.empty()                     ? "upgrade'"
                                                                 : "upgrade --from PATH-OR-URL'";
      document["problems"].push_back(problem(store.current_problem() + ": run 'mcpctl " + remedy));
    }
    add_old_scripts(entry_points.checkout(adoption), document);
    add_copies(app, document);
    // Last, because a release that cannot be read hides nothing of the rest.
    if (verify && document.contains("back")) add_verified_back(store, document);
    if (!possession.current.empty()) {
      add_current(app, store, possession.current, verify, document);
    }
  } catch (const Error& error) {
    json one = problem(error.what(), remedy_for(error));
    for (const char* key : {"path", "file"}) {
      if (error.context().contains(key)) one["file"] = error.context().at(key);
    }
    document["problems"].push_back(one);
  }
  add_denied(app, document);
  if (state.newest) document["looked_up"] = format_time(state.newest->looked_up);
  return document;
}

void Queries::add_old_scripts(const std::string& checkout, json& document) const {
  if (checkout.empty()) return;
  std::vector<std::uint32_t> uids{0, own_identity().uid};
  if (const auto owner = owner_of_path(environment_.tools.fs, checkout)) uids.push_back(*owner);
  for (const OldScript& run : running_old_scripts(checkout, uids)) {
    document["problems"].push_back(problem(run.problem()));
  }
}

void Queries::add_current(const Application& app, const ReleaseStore& store,
                          const std::string& current, bool verify, json& document) const {
  const ReleaseInfo info = store.describe(current);
  if (info.time == TimePoint{} && !verify) {
    const std::string file = environment_.tools.layout.release(app.name, current) + "/release.json";
    document["problems"].push_back(
        {{"what", "file " + escape_path(file) + " cannot be read"}, {"remedy", kMendRelease}});
  }
  document["current"] = release_document(info);
  const ApplicationState& state = state_->application(app.name);
  for (auto entry = state.history.rbegin(); entry != state.history.rend(); ++entry) {
    if (entry->to != current) continue;
    document["since"] = format_time(entry->time);
    document["by"] = entry->by;
    document["job"] = entry->job;
    break;
  }
  if (state.newest && state.newest->digest != info.digest.hex()) {
    const auto known = parse_version(state.newest->version), here = parse_version(info.version);
    if (!known || !here || *here < *known) document["newer"] = state.newest->version;
  }
  if (document.contains("newer")) add_held(app, *state.newest, document);
  const Health* const known = known_damage(state, current);
  if (known && !verify) {
    document["problems"].push_back(
        {{"what", "release " + current + " is damaged: " + known->summary},
         {"remedy", kMendRelease},
         {"file", environment_.tools.layout.tree(app.name, current)}});
  }
  if (!verify) return;
  json damaged = json::array();
  for (const Damage& damage : store.verify(current)) {
    damaged.push_back(damage.path);
    document["problems"].push_back(
        {{"what", "file " + damage.path + " of release " + current + " " + damage.what},
         {"remedy", kMendRelease},
         {"file", damage.path}});
  }
  document["verified"] = {{"release", current}, {"files", info.files}, {"damaged", damaged}};
}

void Queries::add_verified_back(const ReleaseStore& store, json& document) const {
  const std::string release = document.at("back").at("release");
  const auto damages = store.verify(release);
  json damaged = json::array();
  for (const Damage& damage : damages) damaged.push_back(damage.path);
  const ReleaseInfo info = store.describe(release);
  document["verified_back"] = {{"release", release}, {"files", info.files}, {"damaged", damaged}};
  if (damages.empty()) return;
  const std::string more =
      damages.size() == 1 ? "" : " (and " + std::to_string(damages.size() - 1) + " more)";
  document["problems"].push_back(
      {{"what", "release " + release + ", which 'mcpctl rollback' goes to, is damaged: file " +
                    damages[0].path + " " + damages[0].what + more},
       {"remedy", "'mcpctl upgrade " + upgrade_options(info) + "' stages it again"},
       {"file", damages[0].path}});
}

void Queries::add_held(const Application& app, const Newest& newest, json& document) const {
  const auto& holds = state_->application(app.name).holds;
  const auto hold =
      holds.find(ReleaseStore::make_id(newest.version, Sha256::from_hex(newest.digest)));
  if (hold != holds.end()) document["withheld"] = "held: " + hold->second.reason;
}

void Queries::add_denied(const Application& app, json& document) const {
  const auto& newest = state_->application(app.name).newest;
  const Layout& layout = environment_.tools.layout;
  std::optional<DeniedRelease> denied;
  try {
    denied =
        DeniedReleases(environment_.tools.fs, layout, app.name).find(newest ? newest->digest : "");
  } catch (const Error& error) {
    document["problems"].push_back(problem(error.what(), "mend what is named"));
    document["problems"].back()["file"] = escape_path(layout.denied(app.name));
    return;
  }
  if (!denied || !document.contains("newer")) return;
  const std::string job = std::to_string(denied->job);
  document["withheld"] = "denied: it failed check '" + denied->check + "' in job " + job;
  document["problems"].push_back(
      {{"what", "version " + newest->version + " failed check '" + denied->check + "' in job " +
                    job + " (" + denied->reason + ") and is not tried again unless told to"},
       {"remedy", "wait for a newer release; 'mcpctl logs " + job +
                      " -v' tells more, 'mcpctl upgrade --force' tries it again"}});
}

void Queries::add_copies(const Application& app, json& document) const {
  StaleQuery query;
  query.directories = {kSystemCommands};
  if (environment_.user_mode) {
    for (auto& directory : home_commands(own_identity().home)) {
      query.directories.push_back(std::move(directory));
    }
  }
  for (const EntryPoint& entry : app.entry_points) {
    query.commands.push_back({entry.name, entry.link, ""});
  }
  query.recognize = app.recognize;
  FileSystem& fs = environment_.tools.fs;
  for (const PipCopy& copy : find_stale(fs, query).copies) {
    const bool system = parent_path(copy.script) == kSystemCommands;
    document["problems"].push_back(
        {{"what", copy.distribution + " " + copy.version +
                      ", installed with pip, is another copy of " + app.name + "; it brought " +
                      escape_path(copy.script)},
         {"remedy", uninstall_line(fs, copy, system) + ", then 'mcpctl upgrade' if that took " +
                        escape_path(copy.script) + " along"}});
  }
}

void Queries::add_way_back(const ApplicationState& state, const ReleaseStore& store, bool left,
                           json& document) const {
  const std::string standing = left ? kBefore : store.current().value_or("");
  const std::string earlier = release_before(state.history, standing);
  if (store.exists(earlier)) document["back"] = release_document(store.describe(earlier));
}

std::optional<JobRecord> Queries::record_of(JobId id) const {
  for (const JobRecord& record : queue_.unstored) {
    if (record.id == id) return record;
  }
  return JobRecords(environment_.tools.fs, environment_.tools.layout).read(id);
}

std::optional<JobRecord> Queries::last_job(const std::string& app) const {
  JobRecords records(environment_.tools.fs, environment_.tools.layout);
  const auto ids = records.list();
  for (auto id = ids.rbegin(); id != ids.rend(); ++id) {
    const auto record = record_of(*id);
    if (!record || !record->result) continue;
    if (app_of(*record) == app) return record;
  }
  return std::nullopt;
}

std::string Queries::app_of(const JobRecord& record) const {
  if (!record.request.app.empty()) return record.request.app;
  // Records of earlier versions do not name what was the default then.
  const auto& applications = environment_.configuration->applications;
  return applications.size() == 1 ? applications.front().name : "mcp";
}

json Queries::job(const JobRecord& record) const {
  const bool running = queue_.running && queue_.running->id == record.id;
  json document{{"job", record.id},
                {"kind", kind_name(record.request.kind)},
                {"app", app_of(record)},
                {"mode", manner_name(record.request)},
                {"owner", record.by},
                {"uid", record.uid},
                {"state", record.result ? "finished"
                          : running     ? "running"
                                        : "queued"},
                {"requested", format_time(record.queued_at)}};
  if (running) document["phase"] = phase_name(queue_.phase);
  for (std::size_t i = 0; i < queue_.waiting.size(); ++i) {
    if (queue_.waiting[i].id == record.id) document["position"] = i + 1;
  }
  if (record.started_at) document["started"] = format_time(*record.started_at);
  if (record.finished_at) document["finished"] = format_time(*record.finished_at);
  if (record.result) {
    document["outcome"] = outcome_name(record.result->outcome);
    document["message"] = as_seen(*record.result, may_see_).message;
  } else if (!running && queue_.recovering) {
    document["state"] = "recovering";
  }
  if (const std::string release = release_of(record); !release.empty()) {
    document["release"] = release;
  }
  return document;
}

json Queries::lost_record(JobId id) const {
  const Layout& layout = environment_.tools.layout;
  const std::string number = std::to_string(id), file = escape_path(layout.job_file(id));
  return {{"what", "the record of job " + number + " cannot be read: " + file},
          {"remedy", "put a good copy in its place, or remove " + escape_path(layout.job(id)) +
                         " to forget the job; 'mcpctl logs " + number +
                         "' shows what there is of its log"},
          {"file", file}};
}

void Queries::add_lost_records(json& document) const {
  const JobRecords records(environment_.tools.fs, environment_.tools.layout);
  for (const JobId id : records.list()) {
    // What a pending recovery needs of its job is not to be removed.
    if (id == queue_.recovered_job || record_of(id) || !records.lost(id)) continue;
    document["problems"].push_back(lost_record(id));
  }
}

json Queries::jobs(const std::string& app, std::size_t limit) const {
  const std::string wanted = app.empty() ? "" : environment_.configuration->application(app).name;
  const JobRecords records(environment_.tools.fs, environment_.tools.layout);
  json list = json::array(), problems = json::array();
  const auto ids = records.list();
  for (auto id = ids.rbegin(); id != ids.rend() && list.size() + problems.size() < limit; ++id) {
    const bool runs = queue_.running && queue_.running->id == *id;
    const auto record = runs ? queue_.running : record_of(*id);
    if (!record) {
      if (records.lost(*id)) problems.push_back(lost_record(*id));
    } else if (wanted.empty() || app_of(*record) == wanted) {
      list.push_back(job(*record));
    }
  }
  return {{"jobs", list}, {"problems", problems}};
}

namespace {

/// Whether what the launcher reads is as it was staged: a cheap look, for each release there is.
bool readable(const ReleaseStore& store, const std::string& id) {
  try {
    store.exec(id);
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// Empty also where the marks cannot be read: status tells of that.
std::optional<DeniedRelease> denied_mark(const Tools& tools, const std::string& app,
                                         const std::string& digest) {
  try {
    return DeniedReleases(tools.fs, tools.layout, app).find(digest);
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

json Queries::stored_release(const Application& app, const ReleaseStore& store,
                             const std::string& id, const Kept& kept) const {
  const ApplicationState& state = state_->application(app.name);
  const ReleaseInfo info = store.describe(id);
  json document = release_document(info);
  document["staged"] = info.time == TimePoint{} ? "" : format_time(info.time);
  document["bytes"] = info.bytes;
  document["current"] = store.current() == id && !state_->application(app.name).left();
  document["pinned"] = std::ranges::find(state.pins, id) != state.pins.end();
  document["held"] = state.holds.contains(id);
  const auto denied = denied_mark(environment_.tools, app.name, info.digest.hex());
  if (denied) document["denied_by"] = denied->check;
  const auto health = state.health.find(id);
  document["health"] = denied                         ? "denied"
                       : !readable(store, id)         ? "damaged"
                       : health == state.health.end() ? "unknown"
                       : health->second.passed        ? "good"
                                                      : "damaged";
  json reasons = json::array();
  if (const auto found = kept.releases.find(id); found != kept.releases.end()) {
    reasons = found->second;
  }
  if (store.in_use(id)) reasons.push_back("in use");
  document["kept_by"] = reasons;
  return document;
}

json Queries::releases(const std::string& name) const {
  const Application& app = environment_.configuration->application(name);
  const ReleaseStore store(environment_.tools.fs, environment_.tools.layout, app.name);
  const Kept kept = what_to_keep(state_->application(app.name), store.current().value_or(""),
                                 environment_.configuration->retention);
  std::vector<json> list;
  for (const std::string& id : store.list()) {
    try {
      list.push_back(stored_release(app, store, id, kept));
    } catch (const Error& error) {
      list.push_back({{"release", id},
                      {"version", ""},
                      {"origin", ""},
                      {"digest", ""},
                      {"staged", ""},
                      {"bytes", 0},
                      {"health", "damaged"},
                      {"current", false},
                      {"pinned", false},
                      {"held", false},
                      {"kept_by", json::array()}});
    }
  }
  std::ranges::stable_sort(list, [](const json& a, const json& b) {
    return a.at("staged").get<std::string>() > b.at("staged").get<std::string>();
  });
  return {{"app", app.name}, {"releases", list}};
}

}  // namespace mcpu
