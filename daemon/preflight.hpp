#pragma once

#include "daemon/job_planner.hpp"

namespace mcpu {

/// Space that must be free for a prepared job: the mode's floor, or what staging and the way back
/// need if that is more.
std::uint64_t required_bytes(const PreparedJob& job);

/// Looks at everything that would stop the job later: link and state directories writable and on
/// the right kind of file system, space, foreign or unrecognized entry points, old scripts that
/// run, services; for a full upgrade also requirements, backup directory and the syntax of
/// configuration files (warnings). Throws Error{kRefused} naming the first problem and its remedy,
/// of requirements all that are missing; changes nothing. Job thread.
void preflight(const JobEnvironment& environment, const PreparedJob& job, JobLog& log,
               const Cancellation* cancellation);

}  // namespace mcpu
