#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daemon/event_log.hpp"
#include "daemon/peer.hpp"
#include "proto/job_request.hpp"

namespace mcpu {

/// The answer to a request for a job.
struct Ticket {
  JobId job = 0;
  std::string disposition;       ///< "started", "joined", "queued"
  std::size_t position = 0;      ///< in the queue, 0 when it runs
  std::chrono::seconds wait{0};  ///< how long it may wait for its turn; used when queued
};

/// What the daemon can do, without any wire: the server calls this and nothing behind it. Every
/// method checks the peer's rights first (Error{kNotAuthorized}) and may be called from any thread;
/// those marked slow are called on a thread that may block.
class Service {
 public:
  virtual ~Service() = default;

  /// Queues a job (or joins one). Throws kBusy, kInvalidRequest, kNotFound, kRefused (recovery
  /// pending, state damaged), kNotAuthorized. Slow (one durable write).
  virtual Ticket submit(const JobRequest& request, const Peer& peer) = 0;
  /// Ends a queued job whose waiting time ran out; one that runs by now is left alone.
  virtual void expire(JobId job) = 0;
  /// The job's end, once its final event is durable; empty before.
  virtual std::optional<JobResult> result(JobId job) = 0;
  /// Whether a first recovery was tried: before it, jobs of a dead daemon may get further events.
  virtual bool settled() = 0;
  /// For an expired job: the parameters of the Busy error {job, owner, phase, since}.
  virtual nlohmann::json busy_details() = 0;

  /// Cancels a queued or running job (0: the running one); returns the reply's parameters.
  virtual nlohmann::json cancel(JobId job, const Peer& peer) = 0;
  /// What an upgrade or a rollback would do, changing nothing. Slow: takes its turn in the queue.
  virtual nlohmann::json plan(const JobRequest& request, const Peer& peer) = 0;
  /// Slow with `verify`.
  virtual nlohmann::json status(const std::string& app, bool verify, const Peer& peer) = 0;
  /// `app` empty: those of all applications.
  virtual nlohmann::json jobs(const std::string& app, std::size_t limit, const Peer& peer) = 0;
  virtual nlohmann::json releases(const std::string& app, const Peer& peer) = 0;
  /// pin, unpin, hold, unhold. `release` empty: hold and unhold of the whole application. Slow.
  virtual nlohmann::json mark(const std::string& app, const std::string& action,
                              const std::string& release, const Peer& peer) = 0;
  virtual nlohmann::json show_configuration(const Peer& peer) = 0;

  /// Whether this peer may ask for changes at all.
  virtual bool may_change(const Peer& peer) = 0;
  /// Whether this peer may see the details of an event that concerns `uid`.
  virtual bool may_see(std::uint32_t uid, const Peer& peer) = 0;
  /// The job a watcher without a job should follow: the running one, else the first in the queue;
  /// 0: none yet.
  virtual JobId latest_job() = 0;
  /// The next job after this one that exists, for following from job to job; 0: none yet.
  virtual JobId next_job(JobId job) = 0;
  virtual EventLog& events() = 0;
  /// Nothing runs, nothing is queued, no recovery is pending: an idle daemon may leave.
  virtual bool idle() = 0;
};

}  // namespace mcpu
