#pragma once

#include "daemon/file_system.hpp"
#include "daemon/worker_link.hpp"

namespace mcpu {

/// Serves the one operation on a home that the daemon asks for over `link`, then returns; failures
/// of the work are sent back. `privileged`: this process is root and gives restored files to their
/// owner. Throws Error only when the link itself fails: the daemon has gone.
///
/// A request is {operation, home, uid, user, files: [{path, format}], ...}, paths escaped:
///   lock          wait_ms        -> {locked}, and its descriptor beside it, {locked, memory} if
///   none save                         -> for each file {state}, then its content in bytes frames
///   inspect                      -> for each file {state}
///   parse                        -> {problems}
///   restore       wanted, expected; then the content in bytes frames -> {restored, problem}
///   clean                        -> {}
///   fill_scratch  directory      -> {}
void serve_home(WorkerLink& link, FileSystem& fs, bool privileged);

}  // namespace mcpu
