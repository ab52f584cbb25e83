#include "client/commands.hpp"

#include "client/json_fields.hpp"
#include "client/render.hpp"

namespace mcpu {

namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitBusy = 3;
constexpr int kExitNotAuthorized = 4;
constexpr int kExitNoDaemon = 5;

}  // namespace

std::string Session::mcpctl() const { return "mcpctl" + instance_hint(daemon.choice().options); }

nlohmann::json Session::app_parameters() const {
  nlohmann::json parameters = nlohmann::json::object();
  if (!arguments.request.app.empty()) parameters["app"] = arguments.request.app;
  return parameters;
}

void Session::print_json(const nlohmann::json& reply) {
  screen.print(reply.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

int run_command(Session& session) {
  switch (session.arguments.command) {
    case Command::kUpgrade:
    case Command::kRollback:
    case Command::kCheck:
    case Command::kRepair:
      return run_job_command(session);
    case Command::kPin:
    case Command::kUnpin:
    case Command::kHold:
    case Command::kUnhold:
    case Command::kCancel:
      return run_mark_command(session);
    case Command::kLogs:
    case Command::kWatch:
      return run_log_command(session);
    case Command::kStatus:
    case Command::kJobs:
    case Command::kReleases:
    case Command::kConfigShow:
      return run_report_command(session);
    case Command::kConfigValidate:
      return validate_configuration(session.arguments, session.screen);
  }
  throw Error(Code::kInternal, "command without an implementation");
}

int exit_code(const Error& error) {
  switch (error.code()) {
    case Code::kUsage:
    case Code::kInvalidRequest:
    case Code::kConfig:
      return kExitUsage;
    case Code::kBusy:
      return kExitBusy;
    case Code::kNotAuthorized:
      return kExitNotAuthorized;
    case Code::kNoDaemon:
      return kExitNoDaemon;
    case Code::kNotFound:
    case Code::kNoSource:
    case Code::kNothingToRollBack:
    case Code::kRefused:
    case Code::kSource:
    case Code::kCheck:
    case Code::kIo:
    case Code::kCorrupt:
    case Code::kTimeout:
    case Code::kCancelled:
    case Code::kWorker:
    case Code::kTooManyConnections:
    case Code::kInternal:
      return kExitFailed;
  }
  return kExitFailed;
}

std::string error_text(const Error& error) {
  const std::string since = text_of(error.context(), "since");
  const bool job = error.code() == Code::kBusy && number_of(error.context(), "job") > 0;
  const std::string started =
      job && !since.empty() ? "; it has been under way since " + local_time(since) : "";
  return error.what() + started;
}

nlohmann::json error_json(const Error& error) {
  nlohmann::json json = error.context().is_object() ? error.context() : nlohmann::json::object();
  json["error"] = code_name(error.code());
  json["message"] = error.what();
  return json;
}

}  // namespace mcpu
