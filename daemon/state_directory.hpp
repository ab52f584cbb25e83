#pragma once

#include <memory>
#include <string>

#include "daemon/file_system.hpp"
#include "daemon/layout.hpp"

namespace mcpu {

/// Makes the state directory, with what is missing above it: 0700 in user mode, 0755 in system
/// mode, where everybody executes releases from it. Throws Error{kRefused} when what stands there
/// belongs to somebody else or is no directory, kIo when it cannot be made.
void make_state_directory(FileSystem& fs, const Instance& instance);

/// Makes the directory the socket goes into, if it is missing.
void make_socket_directory(FileSystem& fs, const Instance& instance);

/// Takes the lock that makes this daemon the only one on the state directory; held until the result
/// is destroyed. The lock file's first line says who holds it: {"format", "pid", "socket"}. Throws
/// Error{kRefused, {reason, pid, socket}} naming the daemon that holds it.
/// REQUIRES: make_state_directory().
std::unique_ptr<FileLock> take_state_lock(FileSystem& fs, const Layout& layout,
                                          const std::string& socket);

}  // namespace mcpu
