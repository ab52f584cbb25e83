#include <cmath>

#include "daemon/configuration.hpp"
#include "proto/url.hpp"

namespace mcpu {
namespace {

using nlohmann::json;

json seconds(std::chrono::milliseconds time) {
  constexpr std::int64_t kMilliseconds = 1000;
  if (time.count() % kMilliseconds == 0) return time.count() / kMilliseconds;
  return static_cast<double>(time.count()) / static_cast<double>(kMilliseconds);
}

json checks_json(const std::vector<CheckSpec>& checks) {
  json list = json::array();
  for (const CheckSpec& check : checks)
    list.push_back({{"name", check.name},
                    {"entry", check.entry},
                    {"arguments", check.arguments},
                    {"deadline_seconds", seconds(check.deadline)},
                    {"forbid", check.forbid},
                    {"accept", check.accept},
                    {"essential", check.essential}});
  return list;
}

json application_json(const Application& application) {
  json entries = json::array();
  for (const EntryPoint& entry : application.entry_points)
    entries.push_back({{"name", entry.name}, {"path", entry.path}, {"link", entry.link}});
  json files = json::array();
  for (const ManagedFile& file : application.files)
    files.push_back({{"path", file.path}, {"format", file.format}, {"servers", file.servers}});
  json requirements = json::array();
  for (const Requirement& requirement : application.requirements)
    requirements.push_back({{"program", requirement.program},
                            {"arguments", requirement.arguments},
                            {"minimum", requirement.minimum}});
  return {{"source", without_password(application.source)},
          {"entry_points", entries},
          {"exclude", application.exclude},
          {"changelog", application.changelog},
          {"files", files},
          {"checks", checks_json(application.checks)},
          {"deep_checks", checks_json(application.deep_checks)},
          {"services", application.services},
          {"environment", application.environment},
          {"requirements", requirements},
          {"recognize", application.recognize}};
}

json limits_json(const Limits& limits) {
  return {{"resolve_seconds", limits.resolve.count()},
          {"stage_seconds", limits.stage.count()},
          {"home_seconds", limits.home.count()},
          {"all_checks_seconds", limits.all_checks.count()},
          {"quick_free_bytes", limits.quick_free_bytes},
          {"full_free_bytes", limits.full_free_bytes},
          {"clone_bytes", limits.clone_bytes},
          {"tree_entries", limits.tree.max_entries},
          {"tree_bytes", limits.tree.max_total_bytes},
          {"file_bytes", limits.tree.max_file_bytes},
          {"path_bytes", limits.tree.max_path_bytes}};
}

}  // namespace

json to_json(const Configuration& configuration) {
  json applications = json::object();
  for (const Application& application : configuration.applications)
    applications[application.name] = application_json(application);
  // The built-in application is there unless it is taken away.
  if (!applications.contains("mcp")) applications["mcp"] = nullptr;
  return {
      {"format", 1},
      {"group", configuration.group},
      {"users", configuration.users},
      {"required_users", configuration.required_users},
      {"wait",
       {{"quick", configuration.wait_quick.count()}, {"full", configuration.wait_full.count()}}},
      {"idle_exit", configuration.idle_exit.count()},
      {"retention",
       {{"quick", configuration.retention.quick_jobs},
        {"full", configuration.retention.full_jobs},
        {"jobs", configuration.retention.jobs}}},
      {"limits", limits_json(configuration.limits)},
      {"known_hosts", configuration.known_hosts},
      {"ca_file", configuration.ca_file},
      {"applications", applications}};
}

}  // namespace mcpu
