#include "daemon/job_results.hpp"

namespace mcpu {

void tell_end(const JobResult& result, JobLog& log) {
  try {
    if (!log.finished()) finish_log(result, log);
    log.flush();
  } catch (const Error&) {
    // It was tried, so that those who watch can read it from memory.
  }
}

std::optional<JobResult> JobResults::of(JobId job) const {
  {
    const std::lock_guard lock(mutex_);
    if (const auto kept = unstored_.find(job); kept != unstored_.end()) return kept->second.result;
  }
  const auto record = records_.read(job);
  return record ? record->result : std::nullopt;
}

void JobResults::end(JobFinisher finisher, const JobRecord& record, const JobResult& result,
                     JobLog& log) {
  try {
    finisher.record_result(record.id, result, log);
  } catch (const std::exception&) {
    keep(record, result, log);
  }
}

void JobResults::keep(const JobRecord& record, const JobResult& result, JobLog& log) {
  remember(record, result);
  tell_end(result, log);
}

void JobResults::remember(const JobRecord& record, const JobResult& result) {
  if (is_stored(record.id)) return;
  const std::lock_guard lock(mutex_);
  JobRecord& kept = unstored_[record.id] = record;
  kept.result = result;
  kept.finished_at = now();
}

bool JobResults::is_stored(JobId job) const {
  const auto record = records_.read(job);
  return record && record->result;
}

void JobResults::store() {
  for (const JobRecord& record : unstored()) {
    // A recovery may have ended it since.
    if (!is_stored(record.id)) records_.write(record);
    const std::lock_guard lock(mutex_);
    unstored_.erase(record.id);
  }
}

std::vector<JobRecord> JobResults::unstored() const {
  const std::lock_guard lock(mutex_);
  std::vector<JobRecord> records;
  for (const auto& [job, record] : unstored_) records.push_back(record);
  return records;
}

}  // namespace mcpu
