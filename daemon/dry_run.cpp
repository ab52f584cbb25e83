#include "daemon/dry_run.hpp"

#include "daemon/preflight.hpp"
#include "daemon/problem.hpp"
#include "proto/error.hpp"
#include "proto/message_catalogue.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

constexpr std::size_t kMaxChanges = 200;

json changes_of(const ListingChanges& changes) {
  json list = json::array();
  const auto add = [&](const std::vector<std::string>& paths, const char* change) {
    for (const std::string& path : paths) {
      if (list.size() < kMaxChanges) list.push_back({{"path", path}, {"change", change}});
    }
  };
  add(changes.changed, "changed");
  add(changes.added, "added");
  add(changes.removed, "removed");
  return list;
}

/// Adds the files of one user that would be saved, and what keeps them from it.
void add_saves(const JobEnvironment& environment, const PreparedJob& job, const ManagedUser& user,
               json& reply) {
  Home home(environment.tools.processes, user.who, job.app->files);
  home.limit(std::chrono::steady_clock::now() + environment.configuration->limits.home, nullptr);
  try {
    for (const FileState& state : home.inspect()) {
      if (!state.exists) continue;
      reply["saves"].push_back({{"user", user.who.name},
                                {"path", "~/" + escape_path(state.path)},
                                {"concerns", user.who.uid}});
    }
  } catch (const Error& error) {
    if (error.code() == Code::kCancelled) throw;
    reply["problems"].push_back({{"what", "the home of " + user.who.name + ": " + error.what()},
                                 {"remedy", ""},
                                 {"concerns", user.who.uid}});
  }
}

json checks_of(const PreparedJob& job) {
  json list = json::array();
  const auto add = [&](const std::vector<CheckSpec>& specs, const ManagedUser& user,
                       const char* phase, bool essential_only) {
    for (const CheckSpec& spec : specs) {
      if (essential_only && !spec.essential) continue;
      json command{spec.entry};
      for (const std::string& argument : spec.arguments) command.push_back(argument);
      list.push_back({{"check", spec.name},
                      {"command", command},
                      {"user", user.who.name},
                      {"phase", phase},
                      {"required", user.required}});
    }
  };
  const bool upgrade = job.plan.kind == JobKind::kUpgrade;
  if (job.plan.kind == JobKind::kRepair) return list;  // no code of the application runs
  for (const ManagedUser& user : job.plan.users) {
    if (upgrade) add(job.app->checks, user, "mid-check", false);
    if (upgrade && job.plan.mode == Mode::kFull)
      add(job.app->deep_checks, user, "mid-check", false);
    add(job.app->checks, user, "post-check", true);
  }
  return list;
}

/// What a repair's plan would mend, as `status` says what is wrong.
json repairs_of(const JobEnvironment& environment, const PreparedJob& job) {
  const Tools& tools = environment.tools;
  json list = json::array();
  const ReleaseStore store(tools.fs, tools.layout, job.app->name);
  if (!store.current()) {
    list.push_back(store.current_problem() + ": it names " + job.plan.to + " again");
  }
  const EntryPoints entry_points = entry_points_of(environment, *job.app);
  for (const std::string& one : entry_points.problems()) {
    list.push_back(problem(one).at("what").get<std::string>() + ": it is put back");
  }
  return list;
}

json problems_of(const std::vector<Notice>& notices, const std::string& refusal) {
  json list = json::array();
  if (!refusal.empty()) list.push_back({{"what", refusal}, {"remedy", ""}});
  for (const Notice& notice : notices) {
    if (notice.tier != Tier::kWarning && notice.tier != Tier::kError) continue;
    list.push_back({{"what", render_message(notice.id, notice.fields)}, {"remedy", ""}});
    if (notice.concerns) list.back()["concerns"] = *notice.concerns;
  }
  return list;
}

json release_or_null(const JobEnvironment& environment, const PreparedJob& job,
                     const std::string& id) {
  const ReleaseStore store(environment.tools.fs, environment.tools.layout, job.app->name);
  return store.exists(id) ? release_document(store.describe(id)) : json();
}

}  // namespace

void hide_private(json& reply, const std::function<bool(std::uint32_t)>& may_see) {
  for (const char* name : {"saves", "problems"}) {
    json shown = json::array();
    for (json& one : reply.at(name)) {
      const auto uid = one.find("concerns");
      if (uid != one.end() && !may_see(uid->get<std::uint32_t>())) continue;
      one.erase("concerns");
      shown.push_back(std::move(one));
    }
    reply[name] = std::move(shown);
  }
}

json release_document(const ReleaseInfo& info) {
  return {{"release", info.id},
          {"version", info.version},
          {"origin", escape_path(info.origin)},
          {"commit", info.commit.empty() ? json() : json(info.commit)},
          {"digest", info.digest == Sha256() ? "" : info.digest.hex()}};
}

json describe_dry_run(const JobEnvironment& environment, const PreparedJob& job,
                      const DryRun& found) {
  const Plan& plan = job.plan;
  const bool repair = found.request.kind == JobKind::kRepair;
  const bool nothing = job.early && found.repairs.empty();
  json reply{{"app", job.app->name},
             {"kind", kind_name(found.request.kind)},
             {"mode", mode_name(found.request.mode)},
             {"nothing_to_do", nothing},
             {"message", nothing ? job.early->message : found.refusal},
             {"changed_files",
              job.changes.added.size() + job.changes.changed.size() + job.changes.removed.size()},
             {"changes", changes_of(job.changes)},
             {"saves", json::array()},
             {"checks", json::array()},
             {"restarts", repair ? json::array() : json(job.app->services)},
             {"steps", json::array()},
             {"problems", problems_of(found.notices, found.refusal)}};
  if (repair && !nothing) {
    reply["repairs"] = job.early ? json::array() : repairs_of(environment, job);
    for (const std::string& one : found.repairs) reply["repairs"].push_back(one);
  }
  if (job.early) return reply;
  reply["from"] = release_or_null(environment, job, plan.from);
  reply["to"] = job.release ? release_document(*job.release) : json();
  for (const ManagedUser& user : plan.users) {
    if (!user.homeless && !repair) add_saves(environment, job, user, reply);
  }
  reply["checks"] = checks_of(job);
  for (const Step& step : plan.steps) reply["steps"].push_back(step_name(step.kind));
  const std::string& state = environment.tools.layout.state;
  reply["space"] = {{"path", escape_path(state)},
                    {"needed_bytes", required_bytes(job)},
                    {"free_bytes", environment.tools.fs.space(state).free_bytes}};
  return reply;
}

}  // namespace mcpu
