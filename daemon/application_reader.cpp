#include "daemon/application_reader.hpp"

#include <algorithm>
#include <set>

#include "daemon/setting_rules.hpp"

namespace mcpu {
namespace {

/// A rule applied to the path that a text with `~/` stands for.
TextRule expanded(const PathContext& context, std::string (*rule)(const std::string&)) {
  return
      [&context, rule](const std::string& text) { return rule(expand_home(text, context.home)); };
}

EntryPoint read_entry_point(const Setting& setting, const std::string& file,
                            const PathContext& context) {
  Section section(setting, file);
  EntryPoint entry;
  section.require("name");
  section.text("name", entry.name, plain_name_rule);
  section.require("path");
  section.text("path", entry.path, relative_path_rule);
  entry.link = context.link_directory + "/" + entry.name;
  section.text("link", entry.link, expanded(context, absolute_path_rule));
  entry.link = expand_home(entry.link, context.home);
  section.finish();
  return entry;
}

void read_entry_points(Section& section, const std::string& file, const PathContext& context,
                       Application& application) {
  const Setting* list = section.find("entry_points");
  if (!list) return;
  application.entry_points.clear();
  section.each("entry_points", Setting::Type::kArray, [&](const Setting& setting) {
    EntryPoint entry = read_entry_point(setting, file, context);
    for (const EntryPoint& other : application.entry_points)
      if (other.name == entry.name)
        section.refuse(setting, "\"" + entry.name + "\" is the name of two entry points");
    application.entry_points.push_back(std::move(entry));
  });
  if (application.entry_points.empty()) section.refuse(*list, "must have at least one entry point");
}

ManagedFile read_managed_file(const Setting& setting, const std::string& file) {
  Section section(setting, file);
  ManagedFile managed;
  section.require("path");
  section.text("path", managed.path, relative_path_rule);
  managed.format = managed.path.ends_with(".json")   ? "json"
                   : managed.path.ends_with(".toml") ? "toml"
                                                     : "other";
  section.text("format", managed.format, [](const std::string& text) {
    return text == "json" || text == "toml" || text == "other"
               ? ""
               : "must be \"json\", \"toml\" or \"other\"";
  });
  section.text("servers", managed.servers, json_pointer_rule);
  section.finish();
  return managed;
}

void read_managed_files(Section& section, const std::string& file, Application& application) {
  if (section.find("files")) application.files.clear();
  section.each("files", Setting::Type::kArray, [&](const Setting& setting) {
    ManagedFile managed = read_managed_file(setting, file);
    for (const ManagedFile& other : application.files)
      if (other.path == managed.path)
        section.refuse(setting, "\"" + managed.path + "\" is in the list twice");
    application.files.push_back(std::move(managed));
  });
}

/// "mcp central list": how a check is called if it has no name of its own.
std::string command_line(const CheckSpec& check) {
  std::string text = check.entry;
  for (const std::string& argument : check.arguments) text += " " + argument;
  return text;
}

void read_accepted(Section& section, CheckSpec& check) {
  const Setting* list = section.find("accept");
  if (!list) return;
  section.expect(*list, Setting::Type::kArray);
  check.accept.clear();
  for (const Setting& code : list->elements) {
    section.expect(code, Setting::Type::kInteger);
    if (code.integer < 0 || code.integer > 255)
      section.refuse(code, "must be an exit code, 0 to 255");
    check.accept.push_back(static_cast<int>(code.integer));
  }
  if (check.accept.empty()) section.refuse(*list, "must have at least one exit code");
}

CheckSpec read_check(const Setting& setting, const std::string& file,
                     const Application& application) {
  Section section(setting, file);
  CheckSpec check;
  if (!application.entry_points.empty()) check.entry = application.entry_points.front().name;
  section.text("entry", check.entry, [&](const std::string& name) -> std::string {
    for (const EntryPoint& entry : application.entry_points)
      if (entry.name == name) return {};
    return "is not the name of an entry point of this application";
  });
  section.require("arguments");
  section.texts("arguments", check.arguments);
  check.name = command_line(check);
  section.text("name", check.name, not_empty_rule);
  section.deadline("deadline_seconds", check.deadline);
  section.distinct_texts("forbid", check.forbid, not_empty_rule);
  read_accepted(section, check);
  section.boolean("essential", check.essential);
  section.finish();
  return check;
}

void read_checks(Section& section, std::string_view name, const std::string& file,
                 const Application& application, std::vector<CheckSpec>& checks) {
  if (section.find(name)) checks.clear();
  section.each(name, Setting::Type::kArray, [&](const Setting& setting) {
    checks.push_back(read_check(setting, file, application));
  });
}

/// Results are told apart by the check's name, and what `entry_points` replaced may have been the
/// entry point of a built-in check.
void judge_checks(const Section& section, const Application& application) {
  std::set<std::string> names;
  for (const auto* checks : {&application.checks, &application.deep_checks}) {
    for (const CheckSpec& check : *checks) {
      if (!names.insert(check.name).second)
        section.refuse(section.setting(), "has two checks called \"" + check.name + "\"");
      const bool known =
          std::any_of(application.entry_points.begin(), application.entry_points.end(),
                      [&](const EntryPoint& entry) { return entry.name == check.entry; });
      if (!known)
        section.refuse(section.setting(), "has a check \"" + check.name +
                                              "\" of the entry point \"" + check.entry +
                                              "\", which is not in entry_points; give checks and "
                                              "deep_checks too");
    }
  }
}

void read_environment(Section& section, Application& application) {
  if (section.find("environment")) application.environment.clear();
  section.each("environment", Setting::Type::kObject, [&](const Setting& variable) {
    const std::string reason = variable_name_rule(variable.name);
    if (!reason.empty()) section.refuse(variable, reason);
    section.expect(variable, Setting::Type::kString);
    application.environment[variable.name] = variable.text;
  });
}

Requirement read_requirement(const Setting& setting, const std::string& file) {
  Section section(setting, file);
  Requirement requirement;
  requirement.arguments = {"--version"};
  section.require("program");
  section.text("program", requirement.program, [](const std::string& text) {
    return text.starts_with("/") ? absolute_path_rule(text) : plain_name_rule(text);
  });
  section.texts("arguments", requirement.arguments);
  section.text("minimum", requirement.minimum, version_rule);
  section.finish();
  return requirement;
}

void read_requirements(Section& section, const std::string& file, Application& application) {
  if (section.find("requirements")) application.requirements.clear();
  section.each("requirements", Setting::Type::kArray, [&](const Setting& setting) {
    application.requirements.push_back(read_requirement(setting, file));
  });
}

}  // namespace

std::string expand_home(const std::string& path, const std::string& home) {
  if (home.empty() || !path.starts_with("~/")) return path;
  return home + path.substr(1);
}

void read_application(const Setting& setting, const std::string& file, const PathContext& context,
                      Application& application) {
  Section section(setting, file);
  section.text("source", application.source, [&](const std::string& text) {
    return text.empty() ? std::string() : source_rule(expand_home(text, context.home));
  });
  application.source = expand_home(application.source, context.home);
  read_entry_points(section, file, context, application);
  if (application.entry_points.empty()) section.require("entry_points");
  section.distinct_texts("exclude", application.exclude, not_empty_rule);
  section.text("changelog", application.changelog, [](const std::string& text) {
    return text.empty() ? std::string() : relative_path_rule(text);
  });
  read_managed_files(section, file, application);
  read_checks(section, "checks", file, application, application.checks);
  read_checks(section, "deep_checks", file, application, application.deep_checks);
  judge_checks(section, application);
  section.distinct_texts("services", application.services, unit_name_rule);
  read_environment(section, application);
  read_requirements(section, file, application);
  section.distinct_texts("recognize", application.recognize, not_empty_rule);
  section.finish();
}

}  // namespace mcpu
