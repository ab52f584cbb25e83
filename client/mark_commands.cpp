#include "client/commands.hpp"
#include "client/json_fields.hpp"

namespace mcpu {

namespace {

std::string method_of(Command command) {
  if (command == Command::kPin) return "Pin";
  if (command == Command::kUnpin) return "Unpin";
  return command == Command::kHold ? "Hold" : "Unhold";
}

nlohmann::json mark(Session& session) {
  nlohmann::json parameters = session.app_parameters();
  if (!session.arguments.release.empty()) parameters["release"] = session.arguments.release;
  return session.daemon.call(method_of(session.arguments.command), parameters);
}

nlohmann::json cancel(Session& session) {
  const std::optional<JobId> job = session.arguments.job;
  if (job) return session.daemon.call("Cancel", {{"job", *job}});
  // Asked twice, "the running job" could be two jobs: over one connection only.
  return session.daemon.open().call("Cancel", nlohmann::json::object());
}

}  // namespace

int run_mark_command(Session& session) {
  const bool cancelling = session.arguments.command == Command::kCancel;
  const nlohmann::json reply = cancelling ? cancel(session) : mark(session);
  if (session.arguments.json) {
    session.print_json(reply);
  } else if (!session.arguments.quiet) {
    session.screen.print(printable(text_of(reply, "message")));
  }
  return cancelling && text_of(reply, "state") == "committed" ? 1 : 0;
}

}  // namespace mcpu
