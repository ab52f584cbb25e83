#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "proto/event.hpp"

namespace mcpu {

enum class JobKind { kUpgrade, kRollback, kCheck, kRepair };
enum class Mode { kQuick, kFull };
/// What a rollback does with configuration files: by their «after» hash, always, never.
enum class ConfigPolicy { kAuto, kAlways, kNever };

std::string_view kind_name(JobKind kind);  ///< "upgrade", "rollback", "check", "repair"
/// Reverse of kind_name; empty for an unknown name.
std::optional<JobKind> kind_from(std::string_view name);
std::string_view mode_name(Mode mode);  ///< "quick", "full"
std::string_view policy_name(ConfigPolicy policy);

/// Everything a caller can ask of a job; the parameters of Upgrade, Rollback, Check,
/// Repair and Plan.
struct JobRequest {
  JobKind kind = JobKind::kUpgrade;
  std::string app;  ///< empty: the default application
  Mode mode = Mode::kQuick;
  bool force = false;
  bool worktree = false;
  bool unattended = false;
  bool deep = false;                ///< check only
  std::optional<std::string> from;  ///< source other than the configured one
  std::optional<std::string> to;  ///< version, tag, branch, commit, release; "before" to roll back
  ConfigPolicy configs = ConfigPolicy::kAuto;  ///< rollback only
  std::optional<std::string> request_id;       ///< the same id is the same job
  std::optional<std::chrono::seconds> wait;    ///< limit for waiting for its turn; default by mode
  bool no_wait = false;                        ///< Busy instead of queueing
};

/// The mode for people: "deep" for such a check.
std::string_view manner_name(const JobRequest& request);

nlohmann::json to_json(const JobRequest& request);
/// Strict: unknown keys, wrong types and impossible values throw Error{kInvalidRequest, {field,
/// reason}}.
JobRequest job_request_from_json(JobKind kind, const nlohmann::json& parameters);

/// Two requests that ask for the same thing (request_id and waiting aside) are one job.
bool same_work(const JobRequest& a, const JobRequest& b);

/// How a job ended.
enum class Outcome {
  kDone,         ///< committed
  kNothingToDo,  ///< already up to date, or skipped on purpose (unattended)
  kFailed,       ///< failed or undone: everything is as it was
  kRefused,      ///< not attempted: a denied release, a precondition
  kCancelled,    ///< undone on request
  kExpired,      ///< its waiting time ran out
  kNotRestored   ///< failed, and something could not be put back yet: needs attention
};

std::string_view outcome_name(Outcome outcome);
std::optional<Outcome> outcome_from(std::string_view name);

/// What a job came to: the last reply of a streaming method, and jobs/N/job.json.
struct JobResult {
  Outcome outcome = Outcome::kFailed;
  std::string message;                                ///< one sentence for a person
  nlohmann::json details = nlohmann::json::object();  ///< summary: from, to, changed, backup, ...
};

nlohmann::json to_json(const JobResult& result);
JobResult job_result_from_json(const nlohmann::json& json);

/// mcpctl's exit code for a result.
int exit_code(Outcome outcome);

}  // namespace mcpu
