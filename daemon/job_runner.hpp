#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "daemon/job_finisher.hpp"
#include "daemon/job_planner.hpp"

namespace mcpu {

/// Runs one job from request to result. Job thread only.
class JobRunner {
 public:
  JobRunner(const JobEnvironment& environment, StateStore& state, EventLog& events)
      : environment_(environment), state_(state), events_(events) {}

  /// Never throws for what goes wrong with the job: that is its result, with its final event
  /// written. Returns false when something could not be put back: the journal stays, and recovery
  /// goes on with it. `on_commit` is called right before the commit record.
  bool run(const JobRecord& record, JobLog& log, const Cancellation& cancellation,
           const std::function<void()>& on_commit);
  /// What the job would do, as the reply of the protocol's Plan. Throws Error. Changes nothing.
  nlohmann::json dry_run(const JobRecord& record, const Cancellation& cancellation);

 private:
  bool run_switch(const JobRecord& record, JobLog& log, const Cancellation& cancellation,
                  const std::function<void()>& on_commit);
  void run_check(const JobRecord& record, JobLog& log, const Cancellation& cancellation);
  bool execute(const JobRecord& record, PreparedJob& job, JobLog& log,
               const Cancellation& cancellation, const std::function<void()>& on_commit);
  bool undo(StepContext& context, Transaction& transaction, const class Error& error,
            const PreparedJob& job);
  JobFinisher finisher() const;
  /// Makes a damaged state again, for a repair.
  void rebuild_state(JobLog& log);
  /// What a repair does besides its plan, which is nothing: removes releases and records that
  /// nothing needs. Returns its result, which is `early` where nothing was done.
  JobResult tidy_up(const PreparedJob& job, JobLog& log);
  std::string state_made_again() const;
  /// What the plan's making found: the newest release of the source, and damaged releases.
  void remember_findings(const std::string& app, const JobPlanner& planner);
  /// Whether a check found the release's files whole, if that is news.
  void remember_health(const std::string& app, const JobResult& checked);

  const JobEnvironment& environment_;
  StateStore& state_;
  EventLog& events_;
  std::vector<std::string> mended_;  ///< by a repair, besides its plan
};

}  // namespace mcpu
