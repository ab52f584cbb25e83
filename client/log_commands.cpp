#include "client/commands.hpp"
#include "client/job_follower.hpp"
#include "client/job_view.hpp"
#include "client/json_fields.hpp"

namespace mcpu {

namespace {

JobId last_job(Session& session) {
  nlohmann::json parameters = session.app_parameters();
  parameters["limit"] = 1;
  const nlohmann::json reply = session.daemon.call("Jobs", parameters);
  const nlohmann::json &jobs = member_of(reply, "jobs"), &problems = member_of(reply, "problems");
  if (jobs.empty() && !problems.empty()) {
    const nlohmann::json& one = problems.front();
    throw Error(Code::kCorrupt, text_of(one, "what") + ": " + text_of(one, "remedy"),
                {{"file", text_of(one, "file")}});
  }
  if (jobs.empty()) {
    throw Error(Code::kNotFound, "there has been no job yet; mcpctl logs 0 shows the daemon's log",
                {{"what", "job"}});
  }
  return number_of(jobs.front(), "job");
}

/// The events there are now, over one connection.
int show_log(Session& session, JobId job, JobView& view) {
  nlohmann::json parameters = {{"job", job}, {"after", session.arguments.after}};
  if (session.arguments.level) parameters["level"] = tier_name(*session.arguments.level);
  session.daemon.open().stream("Watch", parameters,
                               [&](const nlohmann::json& reply) { view.show(reply); });
  return 0;
}

int watch(Session& session, std::optional<JobId> job, std::uint64_t after, JobView& view) {
  JobFollower follower(
      session.daemon, [&](const nlohmann::json& reply) { view.show(reply); },
      [&](const std::string& text) { view.remark(text); });
  try {
    return exit_code(follower.watch(job, after, session.arguments.level).outcome);
  } catch (const Interrupted&) {
    const bool log = session.arguments.command == Command::kLogs;
    if (follower.job() && *follower.job() > 0 && !log) {
      const std::string number = std::to_string(*follower.job());
      view.remark("Job " + number + " goes on; to cancel it: " + session.mcpctl() + " cancel " +
                  number);
    }
    return kExitInterrupted;
  }
}

}  // namespace

int run_log_command(Session& session) {
  JobView view(session.screen, session.arguments);
  const Arguments& arguments = session.arguments;
  if (arguments.command == Command::kWatch) return watch(session, arguments.job, 0, view);
  const JobId job = arguments.job ? *arguments.job : last_job(session);
  if (!arguments.follow) return show_log(session, job, view);
  const int status = watch(session, job, arguments.after, view);
  return status == kExitInterrupted ? status : 0;
}

}  // namespace mcpu
