#pragma once

#include "daemon/job_record.hpp"
#include "daemon/state_store.hpp"
#include "daemon/transaction.hpp"

namespace mcpu {

/// What a commit record says beyond the plan: everything that follows from it is redone after a
/// crash, so nothing here may be lost.
struct Commit {
  JobResult result;
  HistoryEntry history;
  std::string clear_denied;        ///< digest whose mark goes
  std::vector<std::string> lines;  ///< of the summary
  std::vector<PrivateLine> private_lines;
  std::vector<std::string> changelog;  ///< lines between the two versions
};
nlohmann::json to_json(const Commit& commit);
Commit commit_from_json(const nlohmann::json& json);

/// Emits the final event of a job that came to this.
void finish_log(const JobResult& result, JobLog& log);

/// Ends jobs: after the commit record, and after an undo. Everything is idempotent, since a crash
/// in between has it done again. Job thread only.
class JobFinisher {
 public:
  JobFinisher(Tools tools, StateStore& state, EventLog& events, Retention retention)
      : tools_(tools), state_(state), events_(events), retention_(retention) {}

  /// History, marks, pruning, cleaning, summary, job record, final event; then the journal goes.
  void committed(StepContext& context, Transaction& transaction, const Commit& commit);
  /// Undoes, denies the release if its checks say so, records the result, final event. Returns why
  /// something is still pending: the journal stays then. Empty: everything is as it was.
  std::optional<Error> undone(StepContext& context, Transaction& transaction,
                              const nlohmann::json& undo);
  /// Whether the job's final event is stored. REQUIRES: its log is open.
  bool has_ended(JobId job);
  /// For a job without (or with a finished) transaction: the record and the final event.
  void record_result(JobId job, const JobResult& result, JobLog& log);

 private:
  void update_state(const Plan& plan, const Commit& commit);
  void write_result(JobId job, const JobResult& result);

  Tools tools_;
  StateStore& state_;
  EventLog& events_;
  Retention retention_;
};

}  // namespace mcpu
