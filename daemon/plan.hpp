#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "daemon/configuration.hpp"
#include "daemon/release_store.hpp"
#include "proto/job_request.hpp"

namespace mcpu {

/// The kinds of steps a plan consists of. What each does and undoes is in steps.cpp.
enum class StepKind {
  kStage,           ///< build the new release beside the others
  kSnapshot,        ///< save every managed user's configuration files
  kMidCheck,        ///< judge the new release from where it is staged, with a scratch HOME
  kServices,        ///< how the configured services stand; undone, those that ran are restarted
  kActivate,        ///< move `current`
  kEntryPoints,     ///< launchers, and the links on PATH that lead to them
  kLeave,           ///< put back what stood at the entry points before adoption
  kRestart,         ///< configured services
  kRestoreConfigs,  ///< a rollback's configuration files
  kPostCheck,       ///< through the entry point, as the user would run it
  kStale,           ///< remove stale installations
  kRecordAfter      ///< the configuration files' states at commit
};

std::string_view step_name(StepKind kind);
Phase phase_of(StepKind kind);

/// One step, as data: everything its undo needs stands in `arguments`.
struct Step {
  StepKind kind = StepKind::kStage;
  nlohmann::json arguments = nlohmann::json::object();
  std::chrono::seconds deadline{60};
};

/// A user whose configuration files a job takes care of.
struct ManagedUser {
  Identity who;
  bool required = false;  ///< its failing home or checks fail the job
  bool homeless = false;  ///< nobody's account: checks only, in an empty scratch home
};

/// A job's ordered steps, built before anything is changed. The same data drives the run, the
/// recovery (read back from the journal), the dry run and the crash tests, so it holds everything
/// that undoing needs and nothing that only running needs.
struct Plan {
  JobId job = 0;
  std::string app;
  JobKind kind = JobKind::kUpgrade;
  Mode mode = Mode::kQuick;
  std::string from;  ///< release, kBefore or empty
  std::string to;    ///< release or kBefore
  std::string by;    ///< user name of the owner
  std::vector<EntryPoint> entry_points;
  std::vector<ManagedFile> files;
  std::vector<ManagedUser> users;
  std::vector<Step> steps;
};

nlohmann::json to_json(const Plan& plan);
/// Throws Error{kCorrupt}.
Plan plan_from_json(const nlohmann::json& json);

/// What a plan is made from: found out by reading only.
struct PlanFacts {
  JobId job = 0;
  JobRequest request;
  std::string by;
  const Application* app = nullptr;
  std::vector<ManagedUser> users;
  bool user_mode = true;
  Limits limits;
  std::string from;             ///< what stands now: release, kBefore or empty
  std::string current;          ///< where `current` points, even while kBefore stands; may be empty
  std::string to;               ///< target release ID or kBefore
  bool stage = false;           ///< the target is not in the store yet
  bool entry_points = false;    ///< a launcher or link is missing or not ours
  bool first_adoption = false;  ///< nothing is recorded under adoption/ yet
  std::vector<JobId>
      walk_back;  ///< rollback: jobs whose configuration changes go back, newest first
};

Plan plan_upgrade(const PlanFacts& facts);
Plan plan_rollback(const PlanFacts& facts);
/// `to` is the release that is, or was, current.
Plan plan_repair(const PlanFacts& facts);

}  // namespace mcpu
