#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>

#include "client/commands.hpp"
#include "client/job_follower.hpp"
#include "client/job_view.hpp"
#include "client/json_fields.hpp"
#include "client/views.hpp"

namespace mcpu {

namespace {

/// 128 random bits: the same request sent twice is one job, two requests are two.
std::string random_id() {
  std::array<unsigned char, 16> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    throw io_error("read", "random numbers", errno);
  }
  std::string text;
  for (const unsigned char byte : bytes) {
    std::array<char, 3> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x", byte);
    text += digits.data();
  }
  return text;
}

std::string method_of(JobKind kind) {
  switch (kind) {
    case JobKind::kUpgrade:
      return "Upgrade";
    case JobKind::kRollback:
      return "Rollback";
    case JobKind::kCheck:
      return "Check";
    case JobKind::kRepair:
      return "Repair";
  }
  return "";
}

int show_plan(Session& session) {
  nlohmann::json parameters = to_json(session.arguments.request);
  parameters["kind"] = kind_name(session.arguments.request.kind);
  const nlohmann::json reply = session.daemon.call("Plan", parameters);
  if (session.arguments.json) {
    session.print_json(reply);
  } else {
    session.screen.print(plan_view(reply, session.screen.paint()));
  }
  return 0;
}

int queue_only(Session& session, const nlohmann::json& parameters) {
  const std::string method = method_of(session.arguments.request.kind);
  const nlohmann::json reply = session.daemon.call(method, parameters);
  if (session.arguments.json) {
    session.print_json(reply);
    return 0;
  }
  const std::string job = std::to_string(number_of(reply, "job"));
  const std::string how = text_of(reply, "disposition");
  session.screen.print("Job " + job + " " + (how == "joined" ? "was already under way" : how) +
                       ". To follow it: " + session.mcpctl() + " watch " + job);
  return 0;
}

/// What to tell somebody who stopped watching: the job is none of this process's business.
void tell_it_goes_on(Session& session, const JobFollower& follower) {
  if (session.arguments.json) {
    nlohmann::json line = {{"error", "Interrupted"}, {"message", "the job goes on"}};
    if (follower.job()) line["job"] = *follower.job();
    session.print_json(line);
    return;
  }
  if (!follower.job()) {
    session.screen.note("Interrupted. To see whether a job was started: " + session.mcpctl() +
                        " status");
    return;
  }
  const std::string job = std::to_string(*follower.job());
  session.screen.note("Interrupted: job " + job +
                      " goes on.\n  To follow it:  " + session.mcpctl() + " watch " + job +
                      "\n  To cancel it:  " + session.mcpctl() + " cancel " + job);
}

int follow(Session& session, const nlohmann::json& parameters) {
  // Whoever stops reading must not change what this program's exit code says of the job.
  std::signal(SIGPIPE, SIG_IGN);
  JobView view(session.screen, session.arguments);
  JobFollower follower(
      session.daemon, [&](const nlohmann::json& reply) { view.show(reply); },
      [&](const std::string& text) { view.remark(text); });
  try {
    const std::string method = method_of(session.arguments.request.kind);
    return exit_code(follower.run(method, parameters).outcome);
  } catch (const Interrupted&) {
    tell_it_goes_on(session, follower);
    return kExitInterrupted;
  }
}

void tell_nothing_to_do(Session& session, const std::string& why) {
  if (session.arguments.json) {
    session.print_json({{"result", {{"outcome", "nothing_to_do"}, {"message", why}}}});
  } else {
    session.screen.note("Nothing to upgrade unattended: " + printable(why));
  }
}

int run_job(Session& session, JobRequest request) {
  request.request_id = random_id();
  const nlohmann::json parameters = to_json(request);
  try {
    return session.arguments.detach ? queue_only(session, parameters) : follow(session, parameters);
  } catch (const Error& error) {
    // A timer finds the same until somebody installs: that is no failure of each of its runs.
    if (!request.unattended || error.code() != Code::kNoSource) throw;
    tell_nothing_to_do(session, error.what());
    return 0;
  }
}

/// The same for one of several applications: what keeps it from a job does not keep the others.
int run_job_of_several(Session& session, const JobRequest& request) {
  try {
    return run_job(session, request);
  } catch (const Error& error) {
    if (error.code() == Code::kNoDaemon) throw;
    if (session.arguments.json) {
      session.print_json(error_json(error));
    } else {
      session.screen.note(session.screen.error_paint()("1;31", "mcpctl:") + " " +
                          printable(request.app + ": " + error.what()));
    }
    return exit_code(error);
  }
}

/// A timer does not know what is configured: a job for each application, one after the other. The
/// exit code is the worst.
int upgrade_all(Session& session) {
  JobRequest request = session.arguments.request;
  const nlohmann::json status = session.daemon.call("Status", nlohmann::json::object());
  const nlohmann::json& applications = member_of(status, "applications");
  if (applications.size() < 2) return run_job(session, request);
  int worst = 0;
  for (const nlohmann::json& application : applications) {
    request.app = text_of(application, "app");
    const int code = run_job_of_several(session, request);
    if (code == kExitInterrupted) return code;
    worst = std::max(worst, code);
  }
  return worst;
}

}  // namespace

int run_job_command(Session& session) {
  if (session.arguments.dry_run) return show_plan(session);
  const JobRequest& request = session.arguments.request;
  const bool any = request.app.empty() && !request.from && !request.to && !request.worktree;
  return request.unattended && any ? upgrade_all(session) : run_job(session, request);
}

}  // namespace mcpu
