#include "daemon/check_job.hpp"

#include "daemon/check_steps.hpp"
#include "daemon/durable.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

/// The users of the release that is current: those the last upgrade looked after.
std::vector<ManagedUser> users_of(const JobEnvironment& environment, const JobRecord& record) {
  if (environment.user_mode) return {{own_identity(), true}};
  std::vector<ManagedUser> users;
  for (const std::string& name : environment.configuration->users) {
    users.push_back({identity_of(name), true});
  }
  if (users.empty() && record.uid != 0) users.push_back({identity_of(record.uid), true});
  return users;
}

std::vector<std::string> check_files(const StepContext& context, const std::string& release) {
  std::vector<std::string> problems;
  for (const Damage& damage : context.releases.verify(release)) {
    problems.push_back(damage.path + ": " + damage.what);
    context.log.error("check.damaged",
                      {{"release", release}, {"file", damage.path}, {"reason", damage.what}});
  }
  for (const std::string& problem : context.entry_points.problems()) {
    problems.push_back(problem);
    context.log.error("preflight.problem", {{"reason", problem}});
  }
  return problems;
}

void check_user(StepContext& context, const ManagedUser& user, const std::vector<CheckSpec>& specs,
                std::vector<std::string>& problems) {
  const CheckTarget target = entry_target(context, make_scratch(context, user));
  std::vector<CheckRun> runs;
  for (const CheckSpec& spec : specs) runs.push_back(bind(spec, target));
  const auto deadline = std::chrono::seconds(120);
  for (const CheckResult& result : check_runner(deadline, context, user)(runs)) {
    if (result.passed) {
      context.log.emit_about(user.who.uid, Tier::kInfo, "check.passed",
                             {{"check", result.name}, {"milliseconds", result.duration.count()}});
      continue;
    }
    problems.push_back("check '" + result.name + "' failed: " + result.reason);
    context.log.emit_about(user.who.uid, Tier::kError, "check.failed",
                           {{"check", result.name}, {"reason", result.reason}});
    context.log.emit_about(user.who.uid, Tier::kInfo, "check.output",
                           {{"check", result.name}, {"output", result.output}});
  }
}

}  // namespace

JobResult check_current(const JobEnvironment& environment, const JobRecord& record, JobLog& log,
                        const Cancellation& cancellation) {
  const Application& app = environment.configuration->application(record.request.app);
  Plan plan;
  plan.job = record.id;
  plan.app = app.name;
  plan.kind = JobKind::kCheck;
  plan.entry_points = app.entry_points;
  plan.files = app.files;
  plan.users = users_of(environment, record);
  StepContext context(environment.tools, plan, log);
  context.running.cancellation = &cancellation;
  log.enter(Phase::kPostCheck);
  const auto current = context.releases.current();
  if (!current) {
    throw Error(Code::kRefused, "nothing is installed yet: 'mcpctl upgrade' installs " + app.name,
                {{"reason", "nothing installed"}});
  }
  std::vector<std::string> problems = check_files(context, *current);
  std::vector<CheckSpec> specs = app.checks;
  if (record.request.deep) {
    specs.insert(specs.end(), app.deep_checks.begin(), app.deep_checks.end());
  }
  try {
    for (const ManagedUser& user : plan.users) check_user(context, user, specs, problems);
  } catch (...) {
    remove_tree(environment.tools.fs, environment.tools.layout.scratch(record.id));
    throw;
  }
  remove_tree(environment.tools.fs, environment.tools.layout.scratch(record.id));
  if (problems.empty()) {
    return {Outcome::kDone,
            "release " + *current + " is whole, and all checks passed",
            {{"release", *current}, {"problems", json::array()}}};
  }
  return {Outcome::kFailed,
          std::to_string(problems.size()) + (problems.size() == 1 ? " problem: " : " problems: ") +
              problems.front(),
          {{"release", *current}, {"problems", problems}}};
}

}  // namespace mcpu
