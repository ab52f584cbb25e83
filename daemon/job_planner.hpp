#pragma once

#include <memory>
#include <optional>
#include <string>

#include "daemon/job_record.hpp"
#include "daemon/state_store.hpp"
#include "daemon/steps.hpp"

namespace mcpu {

/// How this daemon was started, as far as jobs care.
struct JobEnvironment {
  Tools tools;
  std::shared_ptr<const Configuration> configuration;
  bool user_mode = true;
};

EntryPoints entry_points_of(const JobEnvironment& environment, const Application& app);

/// A job that is ready to run, or a reason not to. Everything in it was found by reading only.
struct PreparedJob {
  std::shared_ptr<const Configuration> configuration;  ///< keeps `app` alive
  const Application* app = nullptr;
  std::unique_ptr<SourceSession> source;  ///< upgrades
  std::optional<ReleaseInfo> release;     ///< the target; empty for «before»
  Plan plan;
  ListingChanges changes;              ///< against what is current
  std::uint64_t needed_bytes = 0;      ///< for staging and the way back
  std::vector<std::string> changelog;  ///< lines between the two versions
  std::optional<JobResult> early;      ///< set: nothing is to be run
  std::string clear_denied;            ///< digest whose mark the commit clears
};

/// Finds out what a request means on this machine, now: the application, its source, the release,
/// and the plan. Changes nothing but the clone cache. Throws Error for what cannot be done. Job
/// thread.
class JobPlanner {
 public:
  JobPlanner(const JobEnvironment& environment, const State& state, JobLog& log,
             const Cancellation* cancellation)
      : environment_(environment), state_(state), log_(log), cancellation_(cancellation) {}

  PreparedJob prepare(const JobRecord& record);
  /// Throws at once what prepare() would find out without opening a source: an unknown application,
  /// no source, nothing to roll back to. Cheap; any thread.
  void check(const JobRequest& request) const;
  /// The users a job looks after and checks as. Looks names up.
  std::vector<ManagedUser> users(const JobRecord& record) const;
  /// What was found of the stored releases that were compared, by release: the first damage, or
  /// nothing. Also after an error.
  const std::map<std::string, std::string>& compared() const { return compared_; }
  /// What the look-up in the configured source found, if there was one. Also after an error.
  const std::optional<Newest>& newest() const { return newest_; }

 private:
  /// The job of an application, of which nothing more is known yet.
  PreparedJob begin(const JobRequest& request) const;
  ReleaseStore store_of(const Application& app) const {
    return {environment_.tools.fs, environment_.tools.layout, app.name};
  }
  PreparedJob prepare_upgrade(const JobRecord& record);
  PreparedJob prepare_rollback(const JobRecord& record);
  PreparedJob prepare_repair(const JobRecord& record);
  /// The release that `current` names, or did before the link was lost.
  std::string release_in_use(const Application& app, const ReleaseStore& store) const;
  std::string location(const JobRequest& request, const Application& app,
                       const EntryPoints& entry_points) const;
  std::unique_ptr<SourceSession> open_source(const JobRequest& request, const Application& app,
                                             const std::string& location);
  std::vector<ManagedUser> users(const JobRecord& record, const Application& app,
                                 const EntryPoints& entry_points) const;
  /// The first damage of a stored release, which is compared once in a job; empty: it is whole.
  const std::string& damage(const ReleaseStore& store, const std::string& id);
  /// What was in the release that the job leaves. Its damage keeps nobody from that: it is told,
  /// and what cannot be read is taken for nothing.
  Listing listing_left(const ReleaseStore& store, const std::string& id);
  std::string rollback_target(const JobRequest& request, const ReleaseStore& store,
                              const std::string& standing) const;
  /// What stands now: a release, kBefore, or empty when nothing does.
  std::string standing(const Application& app, const EntryPoints& entry_points,
                       const ReleaseStore& store) const;
  void require_adopted(const Application& app, const EntryPoints& entry_points) const;
  PlanFacts facts(const JobRecord& record, const Application& app, const EntryPoints& entry_points,
                  const ReleaseStore& store) const;

  const JobEnvironment& environment_;
  const State& state_;
  JobLog& log_;
  const Cancellation* cancellation_;
  std::map<std::string, std::string> compared_;
  std::optional<Newest> newest_;
};

}  // namespace mcpu
