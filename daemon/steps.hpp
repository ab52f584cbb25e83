#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/adoption.hpp"
#include "daemon/cancellation.hpp"
#include "daemon/check_judge.hpp"
#include "daemon/job_log.hpp"
#include "daemon/plan.hpp"
#include "daemon/processes.hpp"
#include "daemon/release_store.hpp"
#include "daemon/service_control.hpp"
#include "daemon/snapshot.hpp"
#include "daemon/source.hpp"
#include "daemon/step_timer.hpp"

namespace mcpu {

/// The ports and stores every step works with. Nothing is owned; all outlive the job.
struct Tools {
  FileSystem& fs;
  const Layout& layout;
  ProcessPort& processes;
  std::string launcher;                ///< the mcp-launch program
  ServiceControl* services = nullptr;  ///< null: there is no service manager
  StepTimer* timer = nullptr;          ///< null: nobody watches
};

/// A line of the summary that names a file below a user's home.
struct PrivateLine {
  std::uint32_t uid = 0;
  std::string text;
};

/// What only a running job has: recovery undoes without it.
struct Running {
  const Application* app = nullptr;
  SourceSession* source = nullptr;  ///< for kStage
  StageOrder order;                 ///< for kStage
  const Cancellation* cancellation = nullptr;
};

/// One job as its steps see it. Job thread, but for what says otherwise.
struct StepContext {
  Tools tools;
  const Plan& plan;
  JobLog& log;
  ReleaseStore releases;
  EntryPoints entry_points;
  Running running;

  /// Locks on the homes, by uid, held from snapshot to the end.
  std::map<std::uint32_t, HomeLock> home_locks;
  /// Users whose home this job neither checks nor touches.
  std::set<std::uint32_t> skipped;
  /// Users whose home cannot be locked during a recovery, with the reason, by uid.
  std::map<std::uint32_t, std::string> away;
  /// Managed files that the release changed inside a step that ran it, by uid.
  std::map<std::uint32_t, std::set<std::string>> touched;
  /// How the configured services stood before the switch, by ServiceUnit::shown(); without those
  /// of users who may fail no job that could not be looked at.
  std::map<std::string, ServiceState> services;
  /// While undoing: services were restarted with what is being undone.
  bool restart_again = false;
  /// How the new release lay there before anything ran from it.
  Marks marks;
  /// How the old release did in the mid-check, by uid.
  std::map<std::uint32_t, Baseline> baselines;
  /// What the checks came to, for the release's health.
  Verdict verdict;
  /// What the summary tells about configuration files: restored, kept, changed.
  std::vector<PrivateLine> config_lines;
  /// While undoing: some managed file was changed meanwhile, and stays so. Any thread.
  std::atomic<bool> differs = false;
  /// Users who may fail no job and whose configuration files could not be put back.
  std::vector<std::string> unrestored;
  /// While undoing: services that ran before the job and do not any more.
  std::vector<ServiceUnit> down;
  /// Appends a durable note to the journal, for this step's undo.
  std::function<void(const nlohmann::json&)> note;

  StepContext(Tools tools, const Plan& plan, JobLog& log);
  /// The home of a user of the plan, with `deadline` for what follows; one worker serves it during
  /// the whole job, or the part of it that runs on a thread of its own. Any thread, one for a user.
  Home& home(const ManagedUser& user, std::chrono::seconds deadline);
  /// Checks as a user of the plan, as for home().
  Checker& checker(const ManagedUser& user) { return workers_.at(user.who.uid).checker; }
  /// Ends the user's workers until they are asked again.
  void rest(const ManagedUser& user);
  /// Starts the workers of a job with one user, which will be needed soon, ahead of need: what
  /// comes before them is mostly waiting for the disk.
  void start_workers();
  Snapshot snapshot(const ManagedUser& user, JobId job);
  Snapshot snapshot(const ManagedUser& user) { return snapshot(user, plan.job); }
  /// Throws Error{kBusy} naming the first required user's home that is away.
  void require_homes() const;
  /// The same for one user's home, required or not.
  void require_home(const ManagedUser& user) const;
  /// The managed users this job checks as.
  std::vector<ManagedUser> active_users() const;
  /// Those of them whose homes it works on.
  std::vector<ManagedUser> users_with_home() const;

 private:
  /// What works as one user.
  struct Workers {
    Home home;
    Checker checker;
  };
  std::map<std::uint32_t, Workers> workers_;  ///< by uid
};

/// What the journal knows of a step that is being undone.
struct StepTrace {
  bool interrupted = false;           ///< the daemon died inside it
  std::vector<nlohmann::json> notes;  ///< in order
};

/// Does one step. Throws what goes wrong; the transaction then undoes it with those before it.
void apply_step(const Step& step, StepContext& context);
/// Undoes one step that was begun, however far it got. Idempotent. Throws when it cannot be done
/// yet.
void undo_step(const Step& step, StepContext& context, const StepTrace& trace);

// The steps themselves, by what they work on: release_steps.cpp, stale_steps.cpp, config_steps.cpp,
// check_steps.cpp, service_steps.cpp.
void apply_stage(const Step& step, StepContext& context);
void undo_stage(const Step& step, StepContext& context);
void apply_activate(const Step& step, StepContext& context);
void undo_activate(const Step& step, StepContext& context);
void apply_entry_points(const Step& step, StepContext& context);
void undo_entry_points(const Step& step, StepContext& context);
void apply_leave(StepContext& context);
void undo_leave(StepContext& context);
void apply_stale(StepContext& context);
void undo_stale(StepContext& context, const StepTrace& trace);
void apply_snapshot(const Step& step, StepContext& context);
void undo_snapshot(StepContext& context);
void apply_restore_configs(const Step& step, StepContext& context);
void undo_restore_configs(const Step& step, StepContext& context, const StepTrace& trace);
void apply_record_after(const Step& step, StepContext& context);
void apply_mid_check(const Step& step, StepContext& context);
void undo_mid_check(StepContext& context);
void apply_post_check(const Step& step, StepContext& context);
void apply_services(const Step& step, StepContext& context);
void undo_services(const Step& step, StepContext& context, const StepTrace& trace);
void apply_restart(const Step& step, StepContext& context);
void undo_restart(const Step& step, StepContext& context, const StepTrace& trace);
/// For every step that runs the release in the real homes.
void undo_release_changes(const Step& step, StepContext& context, const StepTrace& trace);

}  // namespace mcpu
