#include "daemon/job_finisher.hpp"

#include <algorithm>

#include "daemon/concern.hpp"
#include "daemon/denied_releases.hpp"
#include "daemon/durable.hpp"
#include "daemon/release_health.hpp"
#include "daemon/retention.hpp"
#include "daemon/scratch.hpp"
#include "daemon/services_down.hpp"
#include "proto/message_catalogue.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

struct FinalMessage {
  Tier tier;
  const char* id;
};

FinalMessage final_message(Outcome outcome) {
  switch (outcome) {
    case Outcome::kDone:
    case Outcome::kNothingToDo:
      return {Tier::kSuccess, "job.finished"};
    case Outcome::kFailed:
      return {Tier::kError, "job.failed"};
    case Outcome::kRefused:
      return {Tier::kError, "job.refused"};
    case Outcome::kCancelled:
      return {Tier::kWarning, "job.cancelled"};
    case Outcome::kExpired:
      return {Tier::kWarning, "job.expired"};
    case Outcome::kNotRestored:
      return {Tier::kError, "job.needs_attention"};
  }
  return {Tier::kError, "job.failed"};
}

/// The end of a job that `failed` and cannot be undone yet. Its reason may be one user's and what
/// is pending another's: neither sees the details of the other.
JobResult not_restored(JobResult failed, const Error& pending) {
  const auto concerned = concerned_by(pending.context());
  const auto failed_for = concerned_by(failed);
  if (failed_for && failed_for != concerned) failed = without_details(failed);
  if (concerned) failed.details = details_of(pending);
  failed.outcome = Outcome::kNotRestored;
  failed.message += std::string("; not everything could be put back yet: ") + pending.what();
  return failed;
}

/// What an undone job left otherwise than it was, behind "everything is as it was".
std::string all_but(const StepContext& context, const std::map<std::string, std::string>& damaged) {
  std::string but;
  if (context.differs) but = ", but for configuration files that were changed meanwhile";
  for (const std::string& user : context.unrestored) {
    but += ", but for configuration files of " + user + ", which could not be put back";
  }
  for (const ServiceUnit& unit : context.down) {
    but += ", but for service " + unit.shown() + ", which does not run";
  }
  const auto old = damaged.find(context.plan.from);
  if (old != damaged.end() && context.releases.exists(old->first)) {
    but += ", but for release " + old->first + ", which is damaged now (" + old->second +
           "): 'mcpctl upgrade " + upgrade_options(context.releases.describe(old->first)) +
           "' stages it again";
  }
  return but;
}

}  // namespace

json to_json(const Commit& commit) {
  json private_lines = json::array();
  for (const PrivateLine& line : commit.private_lines) {
    private_lines.push_back({{"uid", line.uid}, {"text", line.text}});
  }
  return {{"result", to_json(commit.result)},    {"history", to_json(commit.history)},
          {"clear_denied", commit.clear_denied}, {"lines", commit.lines},
          {"private_lines", private_lines},      {"changelog", commit.changelog}};
}

Commit commit_from_json(const json& document) {
  try {
    Commit commit;
    commit.result = job_result_from_json(document.at("result"));
    commit.history = history_from_json(document.at("history"));
    commit.clear_denied = document.at("clear_denied");
    commit.lines = document.at("lines").get<std::vector<std::string>>();
    for (const json& line : document.value("private_lines", json::array())) {
      commit.private_lines.push_back({line.at("uid"), line.at("text")});
    }
    commit.changelog = document.at("changelog").get<std::vector<std::string>>();
    return commit;
  } catch (const json::exception& error) {
    throw Error(Code::kCorrupt,
                std::string("the journal's commit record cannot be read: ") + error.what());
  }
}

void JobFinisher::update_state(const Plan& plan, const Commit& commit) {
  state_.update([&](State& state) {
    ApplicationState& app = state.applications[plan.app];
    if (commit.history.kind != JobKind::kRepair) app.record_switch(commit.history);
    const ReleaseStore store(tools_.fs, tools_.layout, plan.app);
    std::erase_if(app.health, [&](const auto& one) { return !store.exists(one.first); });
    state.next_job = std::max(state.next_job, plan.job + 1);
  });
}

bool JobFinisher::has_ended(JobId job) {
  constexpr std::size_t kBatch = 1000;
  std::uint64_t next = 1;
  while (true) {
    const auto batch = events_.read(job, next, kBatch);
    if (batch.empty()) return false;
    if (batch.back()->event.last) return true;
    next = batch.back()->event.number + 1;
  }
}

void JobFinisher::committed(StepContext& context, Transaction& transaction, const Commit& commit) {
  update_state(context.plan, commit);
  if (!commit.clear_denied.empty()) {
    DeniedReleases(tools_.fs, tools_.layout, context.plan.app).clear(commit.clear_denied);
  }
  context.home_locks.clear();
  remove_scratch(tools_, context.plan.job, context.plan.users);
  context.log.enter(Phase::kPrune);
  prune(tools_.fs, tools_.layout, context.plan.app, *state_.get(), retention_, context.log);
  if (!has_ended(context.plan.job)) {
    for (const std::string& line : commit.lines) {
      context.log.info("summary.line", {{"text", line}});
    }
    for (const PrivateLine& line : commit.private_lines) {
      context.log.emit_about(line.uid, Tier::kInfo, "summary.line", {{"text", line.text}});
    }
    for (const std::string& line : commit.changelog) {
      if (line.empty()) continue;
      context.log.info("changelog.line", {{"text", line}});
    }
  }
  record_result(context.plan.job, commit.result, context.log);
  transaction.finish();
}

std::optional<Error> JobFinisher::undone(StepContext& context, Transaction& transaction,
                                         const json& undo) {
  context.log.enter(Phase::kUndo);
  if (!has_ended(context.plan.job)) {
    context.log.emit({Tier::kInfo,
                      "undo.started",
                      {{"reason", undo.value("reason", "")}},
                      concerned_by(JobResult{{}, "", undo.value("details", json::object())})});
  }
  const auto pending = transaction.undo(undo);
  const json& why = *transaction.undoing();
  JobResult result{outcome_from(why.value("outcome", "")).value_or(Outcome::kFailed),
                   why.value("reason", ""), why.value("details", json::object())};
  if (!pending.empty()) {
    record_result(context.plan.job, not_restored(result, pending.front()), context.log);
    return pending.front();
  }
  if (why.contains("denied")) {
    DeniedReleases(tools_.fs, tools_.layout, context.plan.app)
        .add(denied_from_json(why.at("denied")));
  }
  remove_scratch(tools_, context.plan.job, context.plan.users);
  const auto damaged = why.value("damaged", std::map<std::string, std::string>());
  remember_compared(state_, context.releases, context.plan.app, damaged);
  const std::string but = all_but(context, damaged);
  note_services_down(context.down, result.details);
  if (!has_ended(context.plan.job)) {
    context.log.emit(
        {context.down.empty() && context.unrestored.empty() ? Tier::kSuccess : Tier::kWarning,
         "undo.done",
         {{"but", but}},
         {}});
    if (why.contains("denied")) {
      const json& denied = why.at("denied");
      context.log.warning("release.denied",
                          {{"release", denied.at("release")}, {"check", denied.at("check")}});
    }
  }
  result.message += "; everything is as it was" + but;
  record_result(context.plan.job, result, context.log);
  transaction.finish();
  return std::nullopt;
}

void finish_log(const JobResult& result, JobLog& log) {
  const FinalMessage message = final_message(result.outcome);
  json fields{{"message", result.message}};
  const auto concerned = concerned_by(result);
  if (concerned) fields[kPublicText] = without_details(result).message;
  log.finish(message.tier, message.id, fields, concerned);
}

void JobFinisher::record_result(JobId job, const JobResult& result, JobLog& log) {
  write_result(job, result);
  if (!has_ended(job)) finish_log(result, log);
  log.flush();
}

void JobFinisher::write_result(JobId job, const JobResult& result) {
  JobRecords records(tools_.fs, tools_.layout);
  auto record = records.load(job);
  if (!record) return;  // damaged: the events still tell
  record->result = result;
  record->finished_at = now();
  records.write(*record);
}

}  // namespace mcpu
