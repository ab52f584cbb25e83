#include "daemon/recovery.hpp"

#include "daemon/durable.hpp"
#include "daemon/user_steps.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

/// Those that may have a result, but not yet their final event.
constexpr JobId kRecentJobs = 3;

}  // namespace

std::optional<JobId> Recovery::find(std::string& damage) {
  const Layout& layout = environment_.tools.layout;
  const std::string file = layout.journal();
  const std::string prefix = base_name(file) + ".corrupt-";
  for (const std::string& name : environment_.tools.fs.list(layout.state)) {
    if (!name.starts_with(prefix)) continue;
    damage = "a damaged journal lies aside as " + layout.state + "/" + name +
             ", so a job may be half done: compare 'mcpctl status --verify' with what you expect, "
             "then remove that file";
  }
  try {
    const auto journal = Journal::open(environment_.tools.fs, file);
    if (!journal) return std::nullopt;
    return plan_in(*journal).job;
  } catch (const Error& error) {
    if (!says_damage(error)) throw;
    damage = "the journal " + file + " cannot be read (" + error.what() + ")";
  }
  try {
    damage += "; set aside as " + set_aside(environment_.tools.fs, file);
  } catch (const Error& error) {
    damage += std::string("; it could not be set aside: ") + error.what();
  }
  return std::nullopt;
}

std::optional<Error> Recovery::run() {
  try {
    return recover();
  } catch (const Error& error) {
    return error;
  } catch (const std::exception& error) {
    return Error(Code::kInternal, error.what());
  }
}

std::optional<Error> Recovery::recover() {
  const Tools& tools = environment_.tools;
  auto journal = Journal::open(tools.fs, tools.layout.journal());
  if (!journal) return std::nullopt;
  const Plan plan = plan_in(*journal);
  JobFinisher finisher(tools, state_, events_, environment_.configuration->retention);
  events_.open(plan.job);
  // A retry after the job's final event is told in the daemon's own log.
  const JobId told_in = finisher.has_ended(plan.job) ? 0 : plan.job;
  if (told_in == 0) open_daemon_log();
  JobLog log(events_, told_in);
  log.enter(Phase::kRecovery);
  StepContext context(tools, plan, log);
  Transaction transaction(context, std::move(journal));
  // Nothing but the plan may be in the journal yet.
  const std::string last = transaction.last_step(), step = last.empty() ? "begin" : last;
  log.warning("recovery.started",
              {{"job", plan.job}, {"step", step}, {"app", plan.app}, {"release", plan.to}});
  std::optional<Error> pending;
  if (const json* commit = transaction.committed()) {
    log.info("recovery.redone", {{"job", plan.job}});
    finisher.committed(context, transaction, commit_from_json(*commit));
  } else {
    lock_homes(context);
    pending =
        finisher.undone(context, transaction,
                        {{"reason", "the daemon was stopped in the middle of step '" + step + "'"},
                         {"outcome", outcome_name(Outcome::kFailed)},
                         {"interrupted", true}});
  }
  events_.close(plan.job);
  return pending;
}

void Recovery::open_daemon_log() {
  make_directories(environment_.tools.fs, environment_.tools.layout.job(0), 0700);
  events_.open(0);
}

void Recovery::lock_homes(StepContext& context) {
  for (const ManagedUser& user : context.plan.users) {
    if (user.homeless) continue;
    try {
      context.home_locks[user.who.uid] = context.home(user, kHomeLimit).lock(kHomeLimit);
    } catch (const Error& error) {
      context.away[user.who.uid] =
          "the home of " + user.who.name + " cannot be locked: " + error.what();
    }
  }
}

void Recovery::tidy(JobId last) {
  const Tools& tools = environment_.tools;
  JobRecords records(tools.fs, tools.layout);
  for (const JobId id : records.list()) {
    const auto record = records.read(id);
    const bool recent = id + kRecentJobs > last;
    if (id > last || !record || (record->result && !recent)) continue;
    JobFinisher finisher(tools, state_, events_, environment_.configuration->retention);
    const bool logged = tools.fs.info(tools.layout.events(id)).has_value();
    if (record->result && logged && finisher.has_ended(id)) continue;
    events_.open(id);
    if (!record->result || !finisher.has_ended(id)) {
      JobLog log(events_, id);
      if (record->result && events_.read(id, 1, 1).empty()) log.warning("log.lost", {});
      const JobResult interrupted{
          Outcome::kFailed, "the daemon stopped before this job changed anything: ask for it again",
          json::object()};
      finisher.record_result(id, record->result.value_or(interrupted), log);
    }
    events_.close(id);
  }
  const std::string apps = tools.layout.state + "/apps";
  if (!tools.fs.info(apps)) return;
  for (const std::string& app : tools.fs.list(apps)) {
    ReleaseStore(tools.fs, tools.layout, app).clean();
  }
}

}  // namespace mcpu
