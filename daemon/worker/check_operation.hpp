#pragma once

#include "daemon/worker_link.hpp"

namespace mcpu {

/// Runs the checks that the daemon sends over `link` and answers with a result for each (see
/// check_messages.hpp). Each check has a process of ours around it (keep_check). When the link
/// closes everything below this process is killed. Throws Error when the link fails; nothing is
/// left running then either. REQUIRES: this process has no other threads or children.
void serve_checks(WorkerLink& link);

}  // namespace mcpu
