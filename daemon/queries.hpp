#pragma once

#include <functional>
#include <string>
#include <vector>

#include "daemon/job_planner.hpp"
#include "daemon/job_queue.hpp"

namespace mcpu {

/// Builds the protocol's documents about how things stand. Reads only; any thread. Damage found on
/// the way becomes a problem in the document, never an error.
class Queries {
 public:
  Queries(JobEnvironment environment, const Instance& instance, TimePoint started,
          std::shared_ptr<const State> state, QueueView queue, std::vector<nlohmann::json> problems,
          std::function<bool(std::uint32_t)> may_see);

  nlohmann::json status(const std::string& app, bool verify) const;
  nlohmann::json jobs(const std::string& app, std::size_t limit) const;
  nlohmann::json releases(const std::string& app) const;
  /// Which daemon this is.
  nlohmann::json instance() const;

 private:
  nlohmann::json recovery() const;
  nlohmann::json application(const Application& app, bool verify) const;
  void add_current(const Application& app, const ReleaseStore& store, const std::string& current,
                   bool verify, nlohmann::json& document) const;
  /// Compares the release that a plain rollback goes to.
  void add_verified_back(const ReleaseStore& store, nlohmann::json& document) const;
  /// Why the newest version is not taken, if it is held.
  void add_held(const Application& app, const Newest& newest, nlohmann::json& document) const;
  /// Why the newest version is not taken, if it is denied; and that the marks cannot be read.
  void add_denied(const Application& app, nlohmann::json& document) const;
  /// Copies that pip installed, as far as they lie outside of other people's homes: a full upgrade
  /// tells of those.
  void add_copies(const Application& app, nlohmann::json& document) const;
  void add_old_scripts(const std::string& checkout, nlohmann::json& document) const;
  void add_way_back(const ApplicationState& state, const ReleaseStore& store, bool left,
                    nlohmann::json& document) const;
  nlohmann::json stored_release(const Application& app, const ReleaseStore& store,
                                const std::string& id, const struct Kept& kept) const;
  std::optional<JobRecord> record_of(JobId id) const;
  /// The problem that a job's record cannot be read; all of them.
  nlohmann::json lost_record(JobId id) const;
  void add_lost_records(nlohmann::json& document) const;
  nlohmann::json job(const JobRecord& record) const;
  /// The application's last job that has ended.
  std::optional<JobRecord> last_job(const std::string& app) const;
  std::string app_of(const JobRecord& record) const;

  JobEnvironment environment_;
  const Instance& instance_;
  TimePoint started_;
  std::shared_ptr<const State> state_;
  QueueView queue_;
  std::vector<nlohmann::json> problems_;
  std::function<bool(std::uint32_t)> may_see_;  ///< whether the peer sees what concerns a user
};

}  // namespace mcpu
