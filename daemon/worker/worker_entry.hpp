#pragma once

#include <functional>

#include "daemon/worker_link.hpp"

namespace mcpu {

/// The main function of a worker program: `serve` gets the link to the daemon, and what it throws
/// is sent there. Returns the exit code; 2, told on standard error, where the program was started
/// by hand. Rights, limits and environment were set by the daemon before.
int run_worker(const char* program, const std::function<void(WorkerLink&)>& serve);

}  // namespace mcpu
