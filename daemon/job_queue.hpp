#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "daemon/cancellation.hpp"
#include "daemon/job_log.hpp"
#include "daemon/job_record.hpp"

namespace mcpu {

/// A job that is waiting or running. Owned by the queue; the runner sees it on the job thread.
struct QueuedJob {
  JobRecord record;
  std::unique_ptr<JobLog> log;  ///< null for work without a job number
  std::function<void()> work;   ///< work without a job number: a dry run
  Cancellation cancellation;
  bool committed = false;  ///< too late to cancel
};

/// What stands in the queue at one moment.
struct QueueView {
  std::optional<JobRecord> running;
  Phase phase = Phase::kQueue;
  int percent = -1;
  bool recovering = false;
  JobId recovered_job = 0;  ///< whose recovery is under way or pending; set by the service
  std::vector<JobRecord> waiting;
  std::vector<JobRecord> unstored;  ///< ended, their records not written yet; set by the service
};

/// What a Busy error's context says, as a sentence without its end.
std::string busy_text(const nlohmann::json& busy);

/// The only owner of «which job runs»: one at a time, in order of arrival, on a thread of its own.
/// All methods from any thread.
class JobQueue {
 public:
  struct Actions {
    std::function<void(QueuedJob&)> run;                     ///< runs one job; never throws
    std::function<void(QueuedJob&, const JobResult&)> drop;  ///< records one that never ran
    /// Called on the job thread before the first job and every minute while it returns false; jobs
    /// wait meanwhile. Must not throw.
    std::function<bool()> recover;
    std::function<bool()> needs_recovery;  ///< a job left its journal behind
  };

  explicit JobQueue(Actions actions) : actions_(std::move(actions)) {}
  ~JobQueue();

  void start();
  /// Cancels the running job (it is undone, or finishes if it is past its commit), drops the
  /// waiting ones and ends the thread.
  void stop();

  struct Place {
    JobId job = 0;
    std::size_t position = 0;  ///< 0: it runs or is about to
  };
  /// The waiting or running job that asks for the same work, if there is one.
  std::optional<Place> same(const JobRequest& request) const;
  /// Appends a job; `make_record` is called under the queue's lock so that numbers and order agree.
  /// With `no_wait`, throws Error{kBusy} when another job is waiting or running.
  Place add(const std::function<std::unique_ptr<QueuedJob>()>& make, bool no_wait);
  /// Runs `work` in its turn on the job thread and returns when it is done; what it throws is
  /// thrown here. `cancellation` is given to it. Error{kBusy} when the turn does not come within
  /// `wait`.
  void run_in_turn(std::chrono::seconds wait, const std::function<void(const Cancellation&)>& work);
  /// "cancelling", "cancelled", "committed"; Error{kNotFound}. 0: the running one.
  std::string cancel(JobId& job);
  /// Takes a waiting job out whose time is over; one that runs is left alone.
  void expire(JobId job);
  /// Has a pending recovery tried at once, and returns when that was done, at the latest after
  /// `wait`.
  void retry_recovery(std::chrono::milliseconds wait);
  /// The runner's word that the commit record is about to be written.
  void mark_committed();

  QueueView view() const;
  /// Whether the job runs or waits.
  bool has(JobId job) const;
  /// Nothing runs, waits or is to be recovered.
  bool idle() const;
  /// Context of a Busy error.
  nlohmann::json busy() const;

 private:
  void loop();
  std::shared_ptr<QueuedJob> take_next(std::unique_lock<std::mutex>& lock);
  bool remove_waiting(JobId job, const JobResult& result);
  nlohmann::json busy_locked() const;

  Actions actions_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<QueuedJob>> waiting_;
  std::shared_ptr<QueuedJob> running_;
  bool recovering_ = true;
  bool retry_ = false;  ///< the recovery is to be tried before its time
  std::uint64_t attempts_begun_ = 0, attempts_ended_ = 0;  ///< of the recovery
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace mcpu
