#pragma once

#include "daemon/check.hpp"
#include "daemon/worker_link.hpp"

namespace mcpu {

/// Runs one check and ends every process below it: those that left its process group or session,
/// those that ignore signals, those it left in the background. Returns when none is left, at the
/// latest shortly after the check's deadline. If the other end of `worker` closes, all of them are
/// killed and this process ends.
///
/// REQUIRES: this process exists for this one check (a subreaper without other children). That is
/// what tells the descendants of checks running side by side apart: a `setsid` grandchild whose
/// parents are gone has no other mark that it could not remove itself.
CheckResult keep_check(const CheckRun& run, const WorkerLink& worker);

}  // namespace mcpu
