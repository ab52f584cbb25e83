#pragma once

#include <nlohmann/json.hpp>

#include "daemon/check.hpp"

namespace mcpu {

/// What daemon and check worker say to each other: the daemon sends {checks, at_once}, then each
/// run as a message of its own; the worker answers with one {index, result} for each, in any order.
/// Malformed messages throw Error{kWorker}.
nlohmann::json check_run_to_json(const CheckRun& run);
CheckRun check_run_from_json(const nlohmann::json& object);
nlohmann::json check_result_to_json(const CheckResult& result);
CheckResult check_result_from_json(const nlohmann::json& object);

}  // namespace mcpu
