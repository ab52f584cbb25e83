#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "proto/text.hpp"

namespace mcpu {

/// Numbers of jobs: from 1, never reused. 0 is the daemon's own log.
using JobId = std::uint64_t;

enum class Tier { kDebug, kInfo, kSuccess, kWarning, kError };

/// Phases in the order in which a job passes through them.
enum class Phase {
  kQueue,
  kResolve,
  kPreflight,
  kStage,
  kSnapshot,
  kMidCheck,
  kActivate,
  kRestart,
  kPostCheck,
  kStale,
  kCommit,
  kPrune,
  kUndo,
  kRecovery
};

std::string_view tier_name(Tier tier);                 ///< "DEBUG" ... "ERROR"
std::optional<Tier> tier_from(std::string_view name);  ///< any case
std::string_view phase_name(Phase phase);              ///< "resolve", "mid-check", ...
std::optional<Phase> phase_from(std::string_view name);

/// One numbered line of a job's log: a fact with its message id and typed fields. `text` is the
/// English rendering of both, stored so that a log can be read without this program.
struct Event {
  JobId job = 0;
  std::uint64_t number = 0;  ///< from 1 in each job, without gaps
  TimePoint time{};
  Tier tier = Tier::kInfo;
  Phase phase = Phase::kQueue;
  std::string id;  ///< "release.staged": see message_catalogue.hpp
  nlohmann::json fields = nlohmann::json::object();
  std::string text;
  std::optional<std::uint32_t> concerns;  ///< uid whose details this shows; everyone if empty
  bool last = false;                      ///< the final event of its job
};

/// The protocol's (and the stored) form, on one line.
nlohmann::json to_json(const Event& event);
/// Throws Error{kCorrupt} when something is missing or of a wrong type.
Event event_from_json(const nlohmann::json& json);
/// The same event for a peer that it does not concern: same job, number, time, tier and phase; no
/// fields, no details.
Event without_details(const Event& event);

}  // namespace mcpu
