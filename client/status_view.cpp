#include <algorithm>

#include "client/json_fields.hpp"
#include "client/views.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

constexpr const char* kBold = "1";
constexpr const char* kGood = "32";
constexpr const char* kBad = "1;31";
constexpr const char* kCareful = "33";

/// Builds "  label        text" lines.
class Lines {
 public:
  explicit Lines(const Paint& paint) : paint_(paint) {}

  void heading(const std::string& text) {
    if (!text_.empty()) text_ += "\n";
    text_ += paint_(kBold, printable(text)) + "\n";
  }
  /// `text` is shown as it is: printable, perhaps painted.
  void line(const std::string& label, const std::string& text) {
    text_ +=
        "  " + label + std::string(label.size() < 14 ? 14 - label.size() : 1, ' ') + text + "\n";
  }
  void problem(const nlohmann::json& problem) {
    line("PROBLEM", paint_(kBad, printable(text_of(problem, "what"))));
    const std::string remedy = text_of(problem, "remedy");
    if (!remedy.empty()) line("", "what to do: " + printable(remedy));
  }
  const std::string& text() const { return text_; }

 private:
  const Paint& paint_;
  std::string text_;
};

/// "2026-01-31 09:08:07 (3 hours ago)"; empty for no time.
std::string when(const std::string& time, TimePoint now) {
  if (time.empty()) return {};
  try {
    const TimePoint point = parse_time(time);
    return local_time(point) + " (" + relative_time(point, now) + ")";
  } catch (const Error&) {
    return printable(time);
  }
}

std::string release_name(const nlohmann::json& release) {
  const std::string id = printable(text_of(release, "release"));
  const std::string version = printable(text_of(release, "version"));
  return version.empty() || version == id ? id : version + "  [" + id + "]";
}

std::string outcome_paint(const std::string& outcome) {
  if (outcome == "done" || outcome == "nothing_to_do") return kGood;
  return outcome == "cancelled" || outcome == "expired" ? kCareful : kBad;
}

std::string job_title(const nlohmann::json& job) {
  std::string title =
      "job " + std::to_string(number_of(job, "job")) + ", " + printable(text_of(job, "kind"));
  const std::string mode = text_of(job, "mode"), owner = text_of(job, "owner");
  if (!mode.empty()) title += " (" + printable(mode) + ")";
  if (!owner.empty()) title += " for " + printable(owner);
  return title;
}

void add_current(const nlohmann::json& app, Lines& lines, const Paint& paint,
                 const std::string& mcpctl, TimePoint now) {
  const nlohmann::json& current = member_of(app, "current");
  if (flag_of(app, "left")) {
    lines.line("current", paint(kCareful, "what stood there before adoption"));
    return;
  }
  const bool lost = std::ranges::any_of(member_of(app, "entry_points"), [](const auto& one) {
    return text_of(one, "state") == "broken";
  });
  if (current.is_null() && lost) {
    lines.line("current", paint(kBad, "no release is in use, see below"));
    return;
  }
  if (current.is_null()) {
    lines.line("current", paint(kCareful, "nothing installed yet") + ": " + mcpctl + " upgrade");
    return;
  }
  lines.line("current", paint(kGood, release_name(current)));
  lines.line("from", printable(text_of(current, "origin")) +
                         (text_of(current, "commit").empty()
                              ? std::string()
                              : ", commit " + printable(text_of(current, "commit")).substr(0, 12)));
  std::string since = when(text_of(app, "since"), now);
  if (!text_of(app, "by").empty()) since += ", by " + printable(text_of(app, "by"));
  if (number_of(app, "job") > 0) since += ", job " + std::to_string(number_of(app, "job"));
  if (!since.empty()) lines.line("since", since);
}

void add_ways(const nlohmann::json& app, Lines& lines, const Paint& paint,
              const std::string& mcpctl, TimePoint now) {
  const nlohmann::json& back = member_of(app, "back");
  if (!back.is_null()) lines.line("roll back to", release_name(back) + ": " + mcpctl + " rollback");
  const std::string before = text_of(app, "before");
  if (!before.empty()) {
    lines.line("before", printable(before) + ": " + mcpctl + " rollback --to before");
  }
  const std::string newer = text_of(app, "newer"), looked = when(text_of(app, "looked_up"), now);
  const std::string withheld = text_of(app, "withheld");
  std::string text = newer.empty() ? "nothing known" : paint(kCareful, printable(newer));
  if (!newer.empty()) {
    text += withheld.empty() ? ": " + mcpctl + " upgrade" : ", " + printable(withheld);
  }
  text += looked.empty() ? ", never looked up" : ", looked up " + looked;
  lines.line("newer", text);
  if (!text_of(app, "source").empty()) lines.line("source", printable(text_of(app, "source")));
  if (flag_of(app, "paused")) {
    lines.line("unattended", paint(kCareful, "paused") + ": " + mcpctl + " unhold resumes it");
  }
}

void add_entries(const nlohmann::json& app, Lines& lines, const Paint& paint) {
  for (const nlohmann::json& entry : member_of(app, "entry_points")) {
    const std::string state = text_of(entry, "state");
    const std::string colour = state == "ok" ? kGood : state == "before" ? kCareful : kBad;
    lines.line("command",
               printable(text_of(entry, "path")) + "  " +
                   paint(colour, printable(state == "before" ? "not adopted yet" : state)));
  }
}

void add_verified(const nlohmann::json& app, Lines& lines, const Paint& paint) {
  const nlohmann::json& verified = member_of(app, "verified");
  if (verified.is_null()) return;
  const nlohmann::json& damaged = member_of(verified, "damaged");
  const std::string files =
      counted(static_cast<long long>(number_of(verified, "files")), "file") + " compared";
  if (damaged.empty()) {
    lines.line("verified", paint(kGood, "all as released") + ", " + files);
    return;
  }
  lines.line("verified", paint(kBad, std::to_string(damaged.size()) + " damaged") + ", " + files);
  for (const nlohmann::json& file : damaged) {
    if (file.is_string()) lines.line("", paint(kBad, printable(file.get<std::string>())));
  }
}

void add_last_job(const nlohmann::json& app, Lines& lines, const Paint& paint, TimePoint now) {
  const nlohmann::json& job = member_of(app, "last_job");
  if (job.is_null()) return;
  const std::string outcome = text_of(job, "outcome"), finished = text_of(job, "finished");
  std::string text = job_title(job);
  if (!outcome.empty()) text += ": " + paint(outcome_paint(outcome), printable(outcome));
  if (!finished.empty()) text += ", " + when(finished, now);
  lines.line("last job", text);
  const std::string message = text_of(job, "message");
  if (!message.empty()) lines.line("", printable(message));
}

void add_application(const nlohmann::json& app, Lines& lines, const Paint& paint,
                     const std::string& mcpctl, TimePoint now) {
  lines.heading(text_of(app, "app"));
  add_current(app, lines, paint, mcpctl, now);
  add_verified(app, lines, paint);
  add_ways(app, lines, paint, mcpctl, now);
  add_entries(app, lines, paint);
  add_last_job(app, lines, paint, now);
  for (const nlohmann::json& problem : member_of(app, "problems")) lines.problem(problem);
}

void add_instance(const nlohmann::json& reply, Lines& lines, const std::string& mcpctl,
                  TimePoint now) {
  const nlohmann::json& instance = member_of(reply, "instance");
  const std::string mode = text_of(instance, "mode");
  lines.heading("mcp-upgraded " + text_of(instance, "version") +
                (mode == "system" ? ", the system's"
                 : mode == "user" ? ", your own"
                                  : ""));
  const nlohmann::json& running = member_of(reply, "running");
  if (running.is_null()) {
    lines.line("running", "no job");
  } else {
    const std::string job = std::to_string(number_of(running, "job"));
    lines.line("running", job_title(running) + ", in " + printable(text_of(running, "phase")) +
                              ", since " + when(text_of(running, "started"), now));
    lines.line("", "follow it: " + mcpctl + " watch " + job);
  }
  for (const nlohmann::json& job : member_of(reply, "queued")) lines.line("queued", job_title(job));
  lines.line("state", printable(text_of(instance, "state_directory")));
  if (!text_of(instance, "configuration").empty()) {
    lines.line("configuration", printable(text_of(instance, "configuration")));
  }
  for (const nlohmann::json& problem : member_of(reply, "problems")) lines.problem(problem);
}

}  // namespace

std::string status_view(const nlohmann::json& reply, const Paint& paint, const std::string& mcpctl,
                        TimePoint now) {
  Lines lines(paint);
  for (const nlohmann::json& app : member_of(reply, "applications")) {
    add_application(app, lines, paint, mcpctl, now);
  }
  add_instance(reply, lines, mcpctl, now);
  return lines.text();
}

}  // namespace mcpu
