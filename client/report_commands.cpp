#include "client/commands.hpp"
#include "client/json_fields.hpp"
#include "client/views.hpp"

namespace mcpu {

namespace {

constexpr int kExitDamaged = 1;
constexpr int kExitNotRestored = 6;

int status_exit_code(const nlohmann::json& reply) {
  int code = 0;
  for (const nlohmann::json& problem : member_of(reply, "problems")) {
    // A mistake in a file keeps things as they are; anything else is to be looked at now.
    if (text_of(problem, "file").empty()) return kExitNotRestored;
    code = kExitDamaged;
  }
  for (const nlohmann::json& app : member_of(reply, "applications")) {
    if (text_of(member_of(app, "last_job"), "outcome") == "not_restored") return kExitNotRestored;
    for (const char* compared : {"verified", "verified_back"}) {
      if (!member_of(member_of(app, compared), "damaged").empty()) code = kExitDamaged;
    }
    for (const nlohmann::json& entry : member_of(app, "entry_points")) {
      const std::string state = text_of(entry, "state");
      if (state == "broken" || state == "absent" || state == "foreign") code = kExitDamaged;
    }
    for (const nlohmann::json& problem : member_of(app, "problems")) {
      if (!text_of(problem, "file").empty()) code = kExitDamaged;
    }
  }
  return code;
}

int status(Session& session) {
  nlohmann::json parameters = session.app_parameters();
  if (session.arguments.verify) parameters["verify"] = true;
  const nlohmann::json reply = session.daemon.call("Status", parameters);
  if (session.arguments.json) {
    session.print_json(reply);
  } else {
    session.screen.print(status_view(reply, session.screen.paint(), session.mcpctl(), now()));
  }
  return status_exit_code(reply);
}

/// The configuration in force, as the JSON that could be put into the file.
std::string configuration_view(const nlohmann::json& reply, const Paint& paint) {
  const std::string file = printable(text_of(reply, "file"));
  const std::string origin =
      flag_of(reply, "exists") ? "read from " + file : file + " does not exist: the defaults";
  return paint("2", "// " + origin) + "\n" +
         member_of(reply, "configuration")
             .dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

int run_report_command(Session& session) {
  const Command command = session.arguments.command;
  if (command == Command::kStatus) return status(session);
  const bool jobs = command == Command::kJobs, releases = command == Command::kReleases;
  const nlohmann::json reply =
      jobs       ? session.daemon.call("Jobs", session.app_parameters())
      : releases ? session.daemon.call("Releases", session.app_parameters())
                 : session.daemon.call("ShowConfiguration", nlohmann::json::object());
  const Paint& paint = session.screen.paint();
  if (session.arguments.json) {
    session.print_json(reply);
  } else {
    session.screen.print(jobs       ? jobs_view(reply, paint)
                         : releases ? releases_view(reply, paint)
                                    : configuration_view(reply, paint));
  }
  return 0;
}

}  // namespace mcpu
