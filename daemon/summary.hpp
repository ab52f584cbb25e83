#pragma once

#include <chrono>

#include "daemon/job_finisher.hpp"
#include "daemon/job_planner.hpp"

namespace mcpu {

/// Everything a person is told at the end of a switch, and what its commit record holds.
Commit summarize(const JobRecord& record, const PreparedJob& job, const StepContext& context,
                 std::chrono::milliseconds duration);

}  // namespace mcpu
