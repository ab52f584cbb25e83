#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "client/daemon_access.hpp"
#include "proto/job_request.hpp"

namespace mcpu {

/// Follows one job to its result, whatever becomes of the connection: each event is passed on once,
/// in order, those of a recovery after the daemon's death included. For one thread.
class JobFollower {
 public:
  /// Called with the parameters of each reply that has something new.
  using Show = std::function<void(const nlohmann::json&)>;
  using Remark = std::function<void(const std::string&)>;

  JobFollower(DaemonAccess& daemon, Show show, Remark remark)
      : daemon_(daemon), show_(std::move(show)), remark_(std::move(remark)) {}

  /// Asks for a job and follows it. `parameters` holds a request_id, so that asking again after a
  /// lost answer cannot make a second job. Throws the daemon's typed errors, Interrupted, and
  /// kNoDaemon when it stays away.
  JobResult run(std::string_view method, const nlohmann::json& parameters);
  /// Follows a job that exists, or without one the running or the next. `after`: the last number
  /// already known. `level`: the least tier.
  JobResult watch(std::optional<JobId> job, std::uint64_t after, std::optional<Tier> level);

  /// The job that is followed, once it is known: after an interruption, too.
  std::optional<JobId> job() const { return job_; }

 private:
  void take(const nlohmann::json& reply);
  void follow_once();
  JobResult follow();
  void pause_after(const Error& error);

  DaemonAccess& daemon_;
  Show show_;
  Remark remark_;
  std::string method_;  ///< what asks for the job; empty if it exists already
  nlohmann::json parameters_;
  std::optional<JobId> job_;
  bool any_job_ = false;  ///< the stream goes on from job to job; we want the first
  std::uint64_t last_ = 0;
  std::optional<Tier> level_;
  std::optional<JobResult> result_;
  std::chrono::steady_clock::time_point heard_{};  ///< when the daemon last said something
  bool lost_ = false;
};

}  // namespace mcpu
