#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "daemon/file_system.hpp"
#include "daemon/layout.hpp"
#include "proto/error.hpp"
#include "proto/job_request.hpp"

namespace mcpu {

/// jobs/N/job.json: what was asked, by whom, and what came of it.
struct JobRecord {
  JobId id = 0;
  JobRequest request;
  std::uint32_t uid = 0;  ///< of the peer
  std::string by;         ///< its user name, or "uid N"
  std::optional<std::uint32_t> login_uid;
  TimePoint queued_at{};
  std::optional<TimePoint> started_at, finished_at;
  std::optional<JobResult> result;  ///< empty while it is not finished
};

/// As it is stored and shown: without the password of a source.
nlohmann::json to_json(const JobRecord& record);

/// What a result tells of the error it comes from: its name and its context.
nlohmann::json details_of(const Error& error);
/// Whom alone the details of a result concern (something in that user's home failed the job);
/// empty: everybody.
std::optional<std::uint32_t> concerned_by(const JobResult& result);
/// Such a result as everybody else sees it.
JobResult without_details(const JobResult& result);
/// The result as somebody sees it, by whether they see what concerns a user.
JobResult as_seen(const JobResult& result, const std::function<bool(std::uint32_t)>& may_see);

/// The directory of all jobs. Any thread.
class JobRecords {
 public:
  JobRecords(FileSystem& fs, const Layout& layout) : fs_(fs), layout_(layout) {}

  /// The highest number in use, 0 if none.
  JobId highest() const;
  /// Numbers in use, ascending.
  std::vector<JobId> list() const;
  /// Makes jobs/N durably with its first record. REQUIRES: the number was never used.
  void create(const JobRecord& record);
  void write(const JobRecord& record);
  /// Empty when there is no such job or its record cannot be read.
  std::optional<JobRecord> read(JobId id) const;
  /// The same, but throws Error{kIo} for a record that cannot be read at present.
  std::optional<JobRecord> load(JobId id) const;
  /// Whether there is such a job, but no record of it that could be read.
  bool lost(JobId id) const;
  void remove(JobId id);

 private:
  FileSystem& fs_;
  Layout layout_;
};

}  // namespace mcpu
