#include "daemon/check_job.hpp"

#include "daemon/check_steps.hpp"
#include "daemon/scratch.hpp"
#include "daemon/user_steps.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

/// What is wrong with the release's own files.
std::vector<std::string> check_files(const StepContext& context, const std::string& release) {
  std::vector<std::string> problems;
  for (const Damage& damage : context.releases.verify(release)) {
    problems.push_back(damage.path + ": " + damage.what);
    context.log.error("check.damaged",
                      {{"release", release}, {"file", damage.path}, {"reason", damage.what}});
  }
  return problems;
}

std::vector<std::string> check_entry_points(const StepContext& context) {
  std::vector<std::string> problems;
  for (const std::string& problem : context.entry_points.problems()) {
    problems.push_back(problem);
    context.log.error("preflight.problem", {{"reason", problem}});
  }
  return problems;
}

/// Checks as one user; returns what is wrong.
std::vector<std::string> check_user(StepContext& context, const ManagedUser& user,
                                    const std::vector<CheckSpec>& specs, Deadline end) {
  std::vector<std::string> problems;
  const CheckTarget target = entry_target(context, make_scratch(context, user));
  const CheckedUser who = checked(context, user);
  std::vector<CheckRun> runs;
  for (const CheckSpec& spec : specs) runs.push_back(bind(spec, target));
  for (const CheckResult& result : check_runner(specs, end, context, user)(runs)) {
    if (result.passed) {
      context.log.emit_about(
          user.who.uid, Tier::kInfo, "check.passed",
          who.with({{"check", result.name}, {"milliseconds", result.duration.count()}}));
      continue;
    }
    problems.push_back("check '" + result.name + "' failed" + who.suffix() + ": " + result.reason);
    context.log.emit_about(user.who.uid, user.required ? Tier::kError : Tier::kWarning,
                           "check.failed",
                           who.with({{"check", result.name}, {"reason", result.reason}}));
    context.log.emit_about(user.who.uid, Tier::kInfo, "check.output",
                           who.with({{"check", result.name}, {"output", result.output}}));
  }
  return problems;
}

/// Checks as all users; returns what is wrong for those who count.
std::vector<std::string> check_users(StepContext& context, const std::vector<CheckSpec>& specs,
                                     Deadline end) {
  const std::vector<ManagedUser>& users = context.plan.users;
  std::vector<std::vector<std::string>> problems(users.size());
  const UserFailures failures = side_by_side(context, users, [&](std::size_t i) {
    problems[i] = check_user(context, users[i], specs, end);
  });
  settle_failures(context, users, failures, "check.skipped");
  std::vector<std::string> all;
  for (std::size_t i = 0; i < users.size(); ++i) {
    if (users[i].required) all.insert(all.end(), problems[i].begin(), problems[i].end());
  }
  return all;
}

}  // namespace

JobResult check_current(const JobEnvironment& environment, const JobRecord& record,
                        const std::vector<ManagedUser>& users, JobLog& log,
                        const Cancellation& cancellation) {
  const Application& app = environment.configuration->application(record.request.app);
  Plan plan;
  plan.job = record.id;
  plan.app = app.name;
  plan.kind = JobKind::kCheck;
  plan.entry_points = app.entry_points;
  plan.files = app.files;
  plan.users = users;
  StepContext context(environment.tools, plan, log);
  context.running.cancellation = &cancellation;
  log.enter(Phase::kPostCheck);
  const auto current = context.releases.current();
  if (!current) {
    throw Error(Code::kRefused, "nothing is installed yet: 'mcpctl upgrade' installs " + app.name,
                {{"reason", "nothing installed"}});
  }
  std::vector<std::string> problems = check_files(context, *current);
  const bool damaged = !problems.empty();
  for (const std::string& problem : check_entry_points(context)) problems.push_back(problem);
  std::vector<CheckSpec> specs = app.checks;
  if (record.request.deep) {
    specs.insert(specs.end(), app.deep_checks.begin(), app.deep_checks.end());
  }
  try {
    const Deadline end =
        std::chrono::steady_clock::now() + environment.configuration->limits.all_checks;
    const auto failed = check_users(context, specs, end);
    problems.insert(problems.end(), failed.begin(), failed.end());
  } catch (...) {
    remove_scratch(environment.tools, record.id, users);
    throw;
  }
  remove_scratch(environment.tools, record.id, users);
  if (problems.empty()) {
    return {Outcome::kDone,
            "release " + *current + " is whole, and all checks passed",
            {{"release", *current}, {"damaged", false}, {"problems", json::array()}}};
  }
  return {Outcome::kFailed,
          std::to_string(problems.size()) + (problems.size() == 1 ? " problem: " : " problems: ") +
              problems.front(),
          {{"release", *current}, {"damaged", damaged}, {"problems", problems}}};
}

}  // namespace mcpu
