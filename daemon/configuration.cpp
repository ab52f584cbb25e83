#include "daemon/configuration.hpp"

#include <algorithm>
#include <set>

#include "daemon/application_reader.hpp"
#include "daemon/configuration_section.hpp"
#include "daemon/setting_rules.hpp"
#include "proto/error.hpp"

namespace mcpu {
namespace {

constexpr std::int64_t kNewestFormat = 1;
constexpr std::int64_t kDaySeconds = 24 * 60 * 60;
constexpr std::int64_t kMaxBytes = 1LL << 50;

void read_format(Section& section) {
  const std::int64_t format = section.whole("format", kNewestFormat, 1, 1'000'000);
  if (format > kNewestFormat)
    section.refuse(*section.find("format"),
                   "format " + std::to_string(format) + " is newer than this program knows (" +
                       std::to_string(kNewestFormat) + "): upgrade mcp-upgraded");
}

void read_users(Section& section, Configuration& configuration) {
  section.text("group", configuration.group, account_name_rule);
  section.distinct_texts("users", configuration.users, account_name_rule);
  section.distinct_texts("required_users", configuration.required_users, account_name_rule);
  if (configuration.users.empty()) return;
  for (const std::string& name : configuration.required_users) {
    const auto& users = configuration.users;
    if (std::find(users.begin(), users.end(), name) == users.end())
      section.refuse(*section.find("required_users"),
                     "\"" + name + "\" is not in users; add it there or remove it here");
  }
}

void read_times(Section& section, const std::string& file, Configuration& configuration) {
  section.seconds("idle_exit", configuration.idle_exit, 0, kDaySeconds);
  const Setting* setting = section.find("wait");
  if (!setting) return;
  Section wait(*setting, file);
  wait.seconds("quick", configuration.wait_quick, 0, kDaySeconds);
  wait.seconds("full", configuration.wait_full, 0, kDaySeconds);
  wait.finish();
}

void read_retention(Section& section, const std::string& file, Retention& retention) {
  const Setting* setting = section.find("retention");
  if (!setting) return;
  constexpr std::int64_t kMostJobs = 1000, kMostRecords = 10'000;
  Section jobs(*setting, file);
  retention.quick_jobs =
      static_cast<unsigned>(jobs.whole("quick", retention.quick_jobs, 1, kMostJobs));
  retention.full_jobs =
      static_cast<unsigned>(jobs.whole("full", retention.full_jobs, 1, kMostJobs));
  retention.jobs = static_cast<unsigned>(jobs.whole("jobs", retention.jobs, 1, kMostRecords));
  jobs.finish();
}

template <typename Target>
void read_size(Section& section, std::string_view name, Target& target, std::int64_t least) {
  target =
      static_cast<Target>(section.whole(name, static_cast<std::int64_t>(target), least, kMaxBytes));
}

void read_limits(Section& section, const std::string& file, Limits& limits) {
  const Setting* setting = section.find("limits");
  if (!setting) return;
  Section values(*setting, file);
  values.seconds("resolve_seconds", limits.resolve, 1, kDaySeconds);
  values.seconds("stage_seconds", limits.stage, 1, kDaySeconds);
  values.seconds("home_seconds", limits.home, 1, kDaySeconds);
  values.seconds("all_checks_seconds", limits.all_checks, 1, kDaySeconds);
  read_size(values, "quick_free_bytes", limits.quick_free_bytes, 0);
  read_size(values, "full_free_bytes", limits.full_free_bytes, 0);
  read_size(values, "clone_bytes", limits.clone_bytes, 1);
  read_size(values, "tree_entries", limits.tree.max_entries, 1);
  read_size(values, "tree_bytes", limits.tree.max_total_bytes, 1);
  read_size(values, "file_bytes", limits.tree.max_file_bytes, 1);
  read_size(values, "path_bytes", limits.tree.max_path_bytes, 1);
  values.finish();
}

void read_trust(Section& section, const PathContext& context, Configuration& configuration) {
  const TextRule rule = [&](const std::string& text) {
    return text.empty() ? std::string() : absolute_path_rule(expand_home(text, context.home));
  };
  section.text("known_hosts", configuration.known_hosts, rule);
  section.text("ca_file", configuration.ca_file, rule);
  configuration.known_hosts = expand_home(configuration.known_hosts, context.home);
  configuration.ca_file = expand_home(configuration.ca_file, context.home);
}

/// Reads one member of "applications": over the built-in one of that name, or a new one; null takes
/// a built-in one away.
void read_named_application(const Section& section, const Setting& setting, const std::string& file,
                            const PathContext& context, std::vector<Application>& applications) {
  const std::string reason = plain_name_rule(setting.name);
  if (!reason.empty()) section.refuse(setting, "the name of an application " + reason);
  const auto known = std::find_if(applications.begin(), applications.end(),
                                  [&](const Application& app) { return app.name == setting.name; });
  if (setting.type == Setting::Type::kNull) {
    if (known == applications.end())
      section.refuse(setting, "is null, but there is no built-in application of that name");
    applications.erase(known);
    return;
  }
  Application fresh;
  fresh.name = setting.name;
  Application& application =
      known == applications.end() ? applications.emplace_back(fresh) : *known;
  read_application(setting, file, context, application);
}

/// Two applications that want the same link would take it from each other at every upgrade.
void judge_links(const Section& section, const Setting& setting,
                 const std::vector<Application>& applications) {
  std::map<std::string, std::string> owners;
  for (const Application& application : applications) {
    for (const EntryPoint& entry : application.entry_points) {
      const std::string owner = application.name + "'s " + entry.name;
      const auto [first, added] = owners.emplace(entry.link, owner);
      if (added) continue;
      section.refuse(setting, "the link " + entry.link + " is that of " + first->second +
                                  " and of " + owner + "; give one another \"link\"");
    }
  }
}

void read_applications(Section& section, const std::string& file, const PathContext& context,
                       std::vector<Application>& applications) {
  const Setting* setting = section.find("applications");
  if (!setting) return;
  section.each("applications", Setting::Type::kObject, [&](const Setting& member) {
    read_named_application(section, member, file, context, applications);
  });
  if (applications.empty()) section.refuse(*setting, "must leave at least one application");
  judge_links(section, *setting, applications);
}

}  // namespace

const Application& Configuration::application(const std::string& name) const {
  const std::string wanted = !name.empty()              ? name
                             : applications.size() == 1 ? applications.front().name
                                                        : "mcp";
  std::string names;
  for (const Application& application : applications) {
    if (application.name == wanted) return application;
    names += (names.empty() ? "" : ", ") + application.name;
  }
  if (name.empty() && !applications.empty()) {
    const std::string reason = "several applications are configured; say which: " + names;
    throw Error(Code::kInvalidRequest, reason, {{"field", "app"}, {"reason", reason}});
  }
  throw Error(Code::kNotFound,
              "no application \"" + wanted + "\" is configured; there is: " + names,
              {{"what", "application " + wanted}});
}

Configuration parse_configuration(std::string_view text, const std::string& file,
                                  const std::string& link_directory, const std::string& home) {
  const Setting root = read_settings(text, file);
  const PathContext context{link_directory, home};
  Configuration configuration = default_configuration(link_directory);
  configuration.file = file;
  Section section(root, file);
  read_format(section);
  read_users(section, configuration);
  read_times(section, file, configuration);
  read_retention(section, file, configuration.retention);
  read_limits(section, file, configuration.limits);
  read_trust(section, context, configuration);
  read_applications(section, file, context, configuration.applications);
  section.finish();
  return configuration;
}

}  // namespace mcpu
