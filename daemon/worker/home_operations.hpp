#pragma once

#include "daemon/file_system.hpp"
#include "daemon/worker_link.hpp"

namespace mcpu {

/// Serves the operations on a home that the daemon asks for over `link`, one after the other, until
/// it closes the link; failures of the work are sent back. `privileged`: this process is root and
/// gives restored files to their owner. Throws Error only when the link itself fails.
///
/// A request is {operation, home, uid, user, files: [{path, format}], ...}, paths escaped:
///   lock          wait_ms        -> {locked}; held until the next request or the link's end
///   save                         -> for each file {state}, then its content in bytes frames
///   inspect                      -> for each file {state}
///   parse                        -> {problems}
///   restore       wanted, expected; then the content in bytes frames -> {restored, problem}
///   clean                        -> {}
///   fill_scratch  directory      -> {}
///   find_stale    query          -> {found}
///   remove_stale  link           -> {removed}
///   put_back_stale  link         -> {}
///   empty_directory  directory   -> {}; needs no home
void serve_home(WorkerLink& link, FileSystem& fs, bool privileged);

}  // namespace mcpu
