#include <algorithm>

#include "client/json_fields.hpp"
#include "client/views.hpp"

namespace mcpu {

namespace {

std::string joined(const nlohmann::json& list) {
  std::string text;
  for (const nlohmann::json& each : list) {
    if (each.is_string()) text += (text.empty() ? "" : ", ") + each.get<std::string>();
  }
  return text;
}

std::string optional_time(const std::string& time) { return time.empty() ? "" : local_time(time); }

/// What a job came to, or where it is.
std::string job_state(const nlohmann::json& job) {
  const std::string outcome = text_of(job, "outcome"), phase = text_of(job, "phase");
  if (!outcome.empty()) return outcome;
  return text_of(job, "state") + (phase.empty() ? "" : ": " + phase);
}

std::string health(const nlohmann::json& release) {
  std::string text = text_of(release, "health");
  if (!text_of(release, "denied_by").empty()) text += " by " + text_of(release, "denied_by");
  if (flag_of(release, "held")) text += (text.empty() ? "" : ", ") + std::string("held");
  return text;
}

std::string named(const nlohmann::json& release) {
  if (release.is_null()) return "nothing";
  const std::string version = text_of(release, "version"), id = text_of(release, "release");
  return printable(version.empty() || version == id ? id : version + "  [" + id + "]");
}

void add_files(const nlohmann::json& reply, const Paint& paint, std::string& text) {
  const nlohmann::json& changes = member_of(reply, "changes");
  const std::uint64_t count = number_of(reply, "changed_files");
  text += paint("1", "Files of the release that change: " + std::to_string(count)) + "\n";
  for (const nlohmann::json& change : changes) {
    const std::string kind = text_of(change, "change");
    const char* mark = kind == "added" ? "+ " : kind == "removed" ? "- " : "~ ";
    text += "  " + (mark + printable(text_of(change, "path"))) + "\n";
  }
  if (count > changes.size()) {
    text += "  and " + std::to_string(count - changes.size()) + " more\n";
  }
}

void add_saves(const nlohmann::json& reply, const Paint& paint, std::string& text) {
  const nlohmann::json& saves = member_of(reply, "saves");
  text += paint("1", "Configuration files saved first: " + std::to_string(saves.size())) + "\n";
  for (const nlohmann::json& file : saves) {
    text +=
        "  " + printable(text_of(file, "path")) + "  (" + printable(text_of(file, "user")) + ")\n";
  }
}

void add_checks(const nlohmann::json& reply, const Paint& paint, std::string& text) {
  text += paint("1", "Checks") + "\n";
  std::vector<std::vector<std::string>> rows = {{"PHASE", "CHECK", "USER", "IF IT FAILS"}};
  for (const nlohmann::json& check : member_of(reply, "checks")) {
    rows.push_back({text_of(check, "phase"), text_of(check, "check"), text_of(check, "user"),
                    flag_of(check, "required") ? "undone" : "warning"});
  }
  text += table(rows, paint);
}

std::string problems_list(const nlohmann::json& reply, const Paint& paint) {
  std::string text;
  for (const nlohmann::json& problem : member_of(reply, "problems")) {
    text += paint("1;31", "PROBLEM ") + printable(text_of(problem, "what")) + "\n";
    const std::string remedy = text_of(problem, "remedy");
    if (!remedy.empty()) text += "  what to do: " + printable(remedy) + "\n";
  }
  return text;
}

std::string repairs_list(const nlohmann::json& repairs, const Paint& paint) {
  std::string text = paint("1", "Mended: " + std::to_string(repairs.size())) + "\n";
  for (const nlohmann::json& one : repairs) {
    if (one.is_string()) text += "  " + printable(one.get<std::string>()) + "\n";
  }
  return text;
}

void add_rest(const nlohmann::json& reply, const Paint& paint, std::string& text) {
  const nlohmann::json& space = member_of(reply, "space");
  if (!space.is_null()) {
    text += paint("1", "Space: ") + format_bytes(number_of(space, "needed_bytes")) + " needed, " +
            format_bytes(number_of(space, "free_bytes")) + " free below " +
            printable(text_of(space, "path")) + "\n";
  }
  const nlohmann::json& restarts = member_of(reply, "restarts");
  if (!restarts.empty()) text += paint("1", "Restarts: ") + printable(joined(restarts)) + "\n";
  text += problems_list(reply, paint);
}

/// Whether a plan's message is shown as one of its problems anyway.
bool is_problem(const nlohmann::json& reply, const std::string& message) {
  const nlohmann::json& problems = member_of(reply, "problems");
  return std::any_of(problems.begin(), problems.end(), [&](const nlohmann::json& problem) {
    return text_of(problem, "what") == message;
  });
}

}  // namespace

std::string jobs_view(const nlohmann::json& reply, const Paint& paint) {
  const nlohmann::json& jobs = member_of(reply, "jobs");
  if (jobs.empty() && member_of(reply, "problems").empty()) return "There has been no job yet.\n";
  std::vector<std::vector<std::string>> rows = {
      {"JOB", "KIND", "APP", "MODE", "BY", "STARTED", "RESULT", "RELEASE", "MESSAGE"}};
  for (const nlohmann::json& job : jobs) {
    const std::string started = text_of(job, "started");
    rows.push_back({std::to_string(number_of(job, "job")), text_of(job, "kind"),
                    text_of(job, "app"), text_of(job, "mode"), text_of(job, "owner"),
                    optional_time(started.empty() ? text_of(job, "requested") : started),
                    job_state(job), text_of(job, "release"), text_of(job, "message")});
  }
  return table(rows, paint) + problems_list(reply, paint);
}

std::string releases_view(const nlohmann::json& reply, const Paint& paint) {
  const nlohmann::json& releases = member_of(reply, "releases");
  if (releases.empty()) return "There is no release on disk yet.\n";
  std::vector<std::vector<std::string>> rows = {
      {"", "RELEASE", "VERSION", "STAGED", "SIZE", "HEALTH", "KEPT BY", "ORIGIN"}};
  for (const nlohmann::json& release : releases) {
    rows.push_back({flag_of(release, "current") ? "*" : "", text_of(release, "release"),
                    text_of(release, "version"), optional_time(text_of(release, "staged")),
                    format_bytes(number_of(release, "bytes")), health(release),
                    joined(member_of(release, "kept_by")), text_of(release, "origin")});
  }
  return table(rows, paint);
}

std::string plan_view(const nlohmann::json& reply, const Paint& paint) {
  std::string text = "Nothing has been changed; this is what " + printable(text_of(reply, "kind")) +
                     " would do.\n";
  const std::string message = text_of(reply, "message");
  if (!message.empty() && !is_problem(reply, message)) text += printable(message) + "\n";
  if (flag_of(reply, "nothing_to_do")) return text;
  const nlohmann::json& repairs = member_of(reply, "repairs");
  if (!repairs.is_null()) return text + repairs_list(repairs, paint) + problems_list(reply, paint);
  text += paint("1", "From  ") + named(member_of(reply, "from")) + "\n";
  text += paint("1", "To    ") + named(member_of(reply, "to")) + "\n";
  add_files(reply, paint, text);
  add_saves(reply, paint, text);
  add_checks(reply, paint, text);
  add_rest(reply, paint, text);
  return text;
}

}  // namespace mcpu
