#pragma once

#include "daemon/job_planner.hpp"

namespace mcpu {

/// The check job: every file of the current release against its digest, the entry points, and the
/// checks as `users`, in scratch homes. The result is kFailed when anything is wrong. Throws Error
/// for what keeps it from looking. Job thread.
JobResult check_current(const JobEnvironment& environment, const JobRecord& record,
                        const std::vector<ManagedUser>& users, JobLog& log,
                        const Cancellation& cancellation);

}  // namespace mcpu
