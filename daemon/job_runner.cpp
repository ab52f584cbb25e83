#include "daemon/job_runner.hpp"

#include <algorithm>
#include <chrono>

#include "daemon/check_job.hpp"
#include "daemon/check_steps.hpp"
#include "daemon/denied_releases.hpp"
#include "daemon/dry_run.hpp"
#include "daemon/preflight.hpp"
#include "daemon/release_health.hpp"
#include "daemon/retention.hpp"
#include "daemon/summary.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

Outcome outcome_of(const Error& error) {
  const Code code = error.code();
  if (code == Code::kCancelled) return Outcome::kCancelled;
  const bool refused = code == Code::kRefused || code == Code::kNoSource ||
                       code == Code::kNothingToRollBack || code == Code::kNotFound;
  return refused ? Outcome::kRefused : Outcome::kFailed;
}

StageOrder stage_order(const PreparedJob& job) {
  StageOrder order;
  order.info = *job.release;
  order.listing = &job.source->resolved().listing;
  for (const EntryPoint& entry : job.app->entry_points) {
    order.exec.push_back({entry.name, entry.path, job.app->environment});
  }
  for (const Step& step : job.plan.steps) {
    if (step.kind == StepKind::kStage) order.reuse = step.arguments.value("reuse", "");
  }
  return order;
}

json undo_record(const Error& error, const PreparedJob& job) {
  const Outcome outcome = outcome_of(error);
  json undo{{"reason", error.what()},
            {"outcome", outcome_name(outcome == Outcome::kRefused ? Outcome::kFailed : outcome)},
            {"details", details_of(error)}};
  // Of the releases that outlive the undo, the one before may share what the new one damaged.
  if (error.context().contains("damaged")) undo["damaged"] = error.context().at("damaged");
  const bool regression =
      error.code() == Code::kCheck && error.context().value("regression", false);
  if (regression && job.plan.kind == JobKind::kUpgrade && job.release) {
    undo["denied"] =
        to_json(DeniedRelease{job.release->digest.hex(), job.release->id, job.release->version,
                              error.context().value("check", ""),
                              error.context().value("reason", ""), job.plan.job, now()});
  }
  return undo;
}

std::string removal_of(const std::string& release) {
  return "release " + release + " removed, which nothing needs";
}

/// The end of the job writes the marks of denied releases: what keeps them from being read is to
/// fail the job before anything is changed, not behind its switch. Throws Error{kCorrupt, kIo}.
void require_readable_marks(const Tools& tools, const PreparedJob& job) {
  const bool written = job.plan.kind == JobKind::kUpgrade || !job.clear_denied.empty();
  if (!job.early && written) DeniedReleases(tools.fs, tools.layout, job.app->name).list();
}

}  // namespace

JobFinisher JobRunner::finisher() const {
  return {environment_.tools, state_, events_, environment_.configuration->retention};
}

bool JobRunner::run(const JobRecord& record, JobLog& log, const Cancellation& cancellation,
                    const std::function<void()>& on_commit) {
  JobResult result;
  try {
    if (record.request.kind != JobKind::kCheck) {
      return run_switch(record, log, cancellation, on_commit);
    }
    return run_check(record, log, cancellation), true;
  } catch (const Error& error) {
    result = {outcome_of(error), error.what(), details_of(error)};
  } catch (const std::exception& error) {
    result = {Outcome::kFailed, std::string("a mistake in the daemon: ") + error.what(), {}};
  }
  finisher().record_result(record.id, result, log);
  return true;
}

bool JobRunner::run_switch(const JobRecord& record, JobLog& log, const Cancellation& cancellation,
                           const std::function<void()>& on_commit) {
  const bool repair = record.request.kind == JobKind::kRepair;
  if (repair && state_.can_rebuild()) rebuild_state(log);
  if (const std::string damage = state_.damage(); !damage.empty()) throw refused(damage);
  log.enter(Phase::kResolve);
  const auto state = state_.get();
  JobPlanner planner(environment_, *state, log, &cancellation);
  PreparedJob job;
  try {
    job = planner.prepare(record);
  } catch (const Error&) {
    remember_findings(record.request.app, planner);
    throw;
  }
  remember_findings(record.request.app, planner);
  if (job.early) {
    finisher().record_result(record.id, repair ? tidy_up(job, log) : *job.early, log);
    return true;
  }
  log.enter(Phase::kPreflight);
  require_readable_marks(environment_.tools, job);
  preflight(environment_, job, log, &cancellation);
  return execute(record, job, log, cancellation, on_commit);
}

bool JobRunner::execute(const JobRecord& record, PreparedJob& job, JobLog& log,
                        const Cancellation& cancellation, const std::function<void()>& on_commit) {
  const auto begin = Clock::now();
  StepContext context(environment_.tools, job.plan, log);
  context.running.app = job.app;
  context.running.source = job.source.get();
  context.running.cancellation = &cancellation;
  if (job.source) context.running.order = stage_order(job);
  if (context.releases.exists(job.plan.to)) context.marks = context.releases.mark(job.plan.to);
  context.start_workers();
  Transaction transaction(context, environment_.tools.layout.journal());
  Commit commit;
  try {
    transaction.run();
    require_untouched(context);
    log.enter(Phase::kCommit);
    commit = summarize(record, job, context,
                       std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin));
    for (const std::string& one : mended_) commit.result.message += "; " + one;
    log.flush();
    on_commit();
    cancellation.check();
  } catch (const Error& error) {
    return undo(context, transaction, error, job);
  } catch (const std::exception& error) {
    const Error internal(Code::kInternal, std::string("a mistake in the daemon: ") + error.what());
    return undo(context, transaction, internal, job);
  }
  try {
    transaction.commit(to_json(commit));
    finisher().committed(context, transaction, commit);
    return true;
  } catch (const std::exception& error) {
    // Whether the commit record is durable, only the journal can tell: recovery reads it.
    if (!log.finished()) log.error("recovery.needed", {{"reason", error.what()}});
    return false;
  }
}

bool JobRunner::undo(StepContext& context, Transaction& transaction, const Error& error,
                     const PreparedJob& job) {
  try {
    return !finisher().undone(context, transaction, undo_record(error, job));
  } catch (const std::exception& failure) {
    if (!context.log.finished()) {
      context.log.error("recovery.needed", {{"reason", failure.what()}});
    }
    return false;
  }
}

void JobRunner::remember_findings(const std::string& app, const JobPlanner& planner) {
  const std::string& name = environment_.configuration->application(app).name;
  if (!planner.compared().empty()) {
    const ReleaseStore store(environment_.tools.fs, environment_.tools.layout, name);
    remember_compared(state_, store, name, planner.compared());
  }
  if (!planner.newest() || !state_.damage().empty()) return;
  state_.update([&](State& state) { state.applications[name].newest = planner.newest(); });
}

void JobRunner::remember_health(const std::string& app, const JobResult& checked) {
  const std::string release = checked.details.at("release");
  const bool whole = !checked.details.at("damaged");
  const auto state = state_.get();
  const auto& health = state->application(app).health;
  const auto known = health.find(release);
  const bool news = known == health.end() || known->second.passed != whole;
  if (!news || !state_.damage().empty()) return;
  state_.update([&](State& changed) {
    changed.applications[app].health[release] = {whole, checked.message, now()};
  });
}

std::string JobRunner::state_made_again() const {
  return escape_path(environment_.tools.layout.state_file()) +
         " made again from the jobs' records, without pins, holds and pauses";
}

void JobRunner::rebuild_state(JobLog& log) {
  state_.rebuild();
  mended_.push_back(state_made_again());
  if (const std::string loss = state_.loss(); !loss.empty()) {
    log.warning("state.rebuilt", {{"loss", loss}});
  }
}

JobResult JobRunner::tidy_up(const PreparedJob& job, JobLog& log) {
  log.enter(Phase::kPrune);
  const auto removed = prune(environment_.tools.fs, environment_.tools.layout, job.app->name,
                             *state_.get(), environment_.configuration->retention, log);
  for (const std::string& release : removed) mended_.push_back(removal_of(release));
  if (mended_.empty()) return *job.early;
  std::string what;
  for (const std::string& one : mended_) what += (what.empty() ? "" : "; ") + one;
  return {Outcome::kDone, "mended: " + what, {{"app", job.app->name}, {"mended", mended_}}};
}

void JobRunner::run_check(const JobRecord& record, JobLog& log, const Cancellation& cancellation) {
  const auto state = state_.get();
  const Application& app = environment_.configuration->application(record.request.app);
  if (state->application(app.name).left()) {
    throw Error(Code::kRefused,
                "what stood there before adoption stands there again, and is not ours to check: "
                "'mcpctl rollback' comes back to a release");
  }
  const auto users = JobPlanner(environment_, *state, log, &cancellation).users(record);
  const JobResult result = check_current(environment_, record, users, log, cancellation);
  remember_health(app.name, result);
  finisher().record_result(record.id, result, log);
}

json JobRunner::dry_run(const JobRecord& record, const Cancellation& cancellation) {
  JobLog log;
  const bool rebuilds = record.request.kind == JobKind::kRepair && state_.can_rebuild();
  const auto state = rebuilds ? state_.rebuilt() : state_.get();
  PreparedJob job = JobPlanner(environment_, *state, log, &cancellation).prepare(record);
  require_readable_marks(environment_.tools, job);
  DryRun found{record.request, {}, "", {}};
  if (rebuilds) found.repairs.push_back(state_made_again());
  if (record.request.kind == JobKind::kRepair) {
    for (const std::string& release :
         unneeded_releases(environment_.tools.fs, environment_.tools.layout, job.app->name, *state,
                           environment_.configuration->retention)) {
      found.repairs.push_back(removal_of(release));
    }
  }
  if (!job.early) {
    try {
      preflight(environment_, job, log, &cancellation);
    } catch (const Error& error) {
      if (error.code() != Code::kRefused) throw;
      found.refusal = error.what();
    }
  }
  found.notices = log.collected();
  return describe_dry_run(environment_, job, found);
}

}  // namespace mcpu
