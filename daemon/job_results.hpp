#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "daemon/job_finisher.hpp"

namespace mcpu {

/// Emits the job's final event if it is missing. When the disk does not take it, those who watch
/// see it from memory. Job thread, or before the job's turn.
void tell_end(const JobResult& result, JobLog& log);

/// The results of ended jobs. One whose record the disk does not take (it is full, it is
/// read-only) is kept in memory and told all the same, until it can be stored. All methods from
/// any thread.
class JobResults {
 public:
  /// `records` outlives this.
  explicit JobResults(JobRecords& records) : records_(records) {}

  /// Empty while the job is not finished, and when there is no such job.
  std::optional<JobResult> of(JobId job) const;
  /// Ends a job through the finisher or, when that fails, in memory: the result counts, and the
  /// job's log gets its final event in either case.
  void end(JobFinisher finisher, const JobRecord& record, const JobResult& result, JobLog& log);
  /// Ends a job in memory alone, unless its result is stored already.
  void keep(const JobRecord& record, const JobResult& result, JobLog& log);
  /// The same for a job whose end has been told.
  void remember(const JobRecord& record, const JobResult& result);
  /// Tries again to store what is kept. Throws Error{kIo}.
  void store();
  /// What is kept, by number.
  std::vector<JobRecord> unstored() const;

 private:
  bool is_stored(JobId job) const;

  JobRecords& records_;
  mutable std::mutex mutex_;
  std::map<JobId, JobRecord> unstored_;
};

}  // namespace mcpu
