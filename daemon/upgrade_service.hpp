#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "daemon/job_planner.hpp"
#include "daemon/job_queue.hpp"
#include "daemon/job_results.hpp"
#include "daemon/policy.hpp"
#include "daemon/queries.hpp"
#include "daemon/recovery.hpp"
#include "daemon/service.hpp"
#include "daemon/state_store.hpp"

namespace mcpu {

/// The daemon's engine: everything but the wire. Owns the stores, the event log and the job queue.
/// REQUIRES: the state lock is held for its whole life.
class UpgradeService final : public Service {
 public:
  UpgradeService(Tools tools, const Instance& instance,
                 std::shared_ptr<const Configuration> configuration);
  ~UpgradeService() override;

  /// Starts the job thread; its first work is a pending recovery, if there is one.
  void start();
  /// Cancels the running job (it is undone, or finished if committed) and ends the job thread.
  void stop();
  /// Waits until a recovery was tried. What keeps it pending, or is damaged so that nothing may be
  /// changed, in full; empty: all is well.
  std::string settle();
  /// What the daemon is doing, in one line for the service manager, whom everybody may ask;
  /// kIdleActivity.
  std::string activity() const;
  /// The next job uses this configuration.
  void reload(std::shared_ptr<const Configuration> configuration);
  /// Has status say why the configuration was not read again, until the next reload().
  void refuse_reload(const std::string& problem);

  Ticket submit(const JobRequest& request, const Peer& peer) override;
  void expire(JobId job) override { queue_.expire(job); }
  std::optional<JobResult> result(JobId job) override;
  bool settled() override { return settled_; }
  nlohmann::json busy_details() override { return queue_.busy(); }
  nlohmann::json cancel(JobId job, const Peer& peer) override;
  nlohmann::json plan(const JobRequest& request, const Peer& peer) override;
  nlohmann::json status(const std::string& app, bool verify, const Peer& peer) override;
  nlohmann::json jobs(const std::string& app, std::size_t limit, const Peer& peer) override;
  nlohmann::json releases(const std::string& app, const Peer& peer) override;
  nlohmann::json mark(const std::string& app, const std::string& action, const std::string& release,
                      const Peer& peer) override;
  nlohmann::json show_configuration(const Peer& peer) override;
  bool may_change(const Peer& peer) override;
  bool may_see(std::uint32_t uid, const Peer& peer) override;
  JobId latest_job() override;
  JobId next_job(JobId job) override;
  EventLog& events() override { return events_; }
  bool idle() override { return queue_.idle(); }

 private:
  JobEnvironment environment() const;
  Access access() const;
  /// Tries a pending recovery again first: what kept it pending may be gone.
  void refuse_if_damaged(const Peer& peer, bool may_rebuild = false);
  /// Somebody looked into a damaged journal and removed it.
  void forget_journal_damage_if_settled();
  /// Why the recovery is pending, as this peer may know it; empty: it is not.
  std::string pending_for(const Peer& peer) const;
  JobRecord make_record(const JobRequest& request, const Peer& peer) const;
  std::unique_ptr<QueuedJob> make_job(const JobRequest& request, const Peer& peer);
  std::optional<Ticket> earlier_job(const JobRequest& request) const;
  void remove_what_a_crash_left();
  void run_job(QueuedJob& job);
  void drop_job(QueuedJob& job, const JobResult& result);
  void store_results();
  bool recover();
  /// Tells those who wait for a job that its end is pending: they are not to wait for ever.
  void tell_pending(JobId job, const Error& pending);
  /// Ends a job of which not even the result could be stored.
  void end_unstored(QueuedJob& job, const std::string& failure);
  Queries queries(const Peer& peer);

  Tools tools_;
  Instance instance_;
  StateStore state_;
  EventLog events_;
  JobRecords records_;
  JobResults results_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Configuration> configuration_;
  Access access_;
  std::string journal_damage_, configuration_problem_;
  std::optional<Error> pending_recovery_;
  JobId recovered_job_ = 0;           ///< whose recovery is under way or pending
  std::atomic<bool> settled_{false};  ///< the first recovery has been tried
  bool tidied_ = false;               ///< job thread only
  JobId last_earlier_job_ = 0;        ///< the last one of the daemon before this
  TimePoint started_;
  JobQueue queue_;  ///< last: its thread uses everything above
};

}  // namespace mcpu
