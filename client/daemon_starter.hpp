#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "daemon/unique_fd.hpp"

namespace mcpu {

/// The daemon's program: beside this one as installed (../sbin) or built (../daemon), else on PATH.
/// Throws Error{kNoDaemon} naming where it was looked for.
std::string find_daemon_program();

/// The environment that a daemon on demand gets: built from the few variables it has a use for.
std::vector<std::string> daemon_environment();

/// A daemon that was started and may not be ready yet, or may have ended already.
class StartedDaemon {
 public:
  /// Starts `command` detached from this process: in a session of its own, with cwd `/`, no open
  /// descriptors and a built environment. Throws Error{kNoDaemon} if it cannot be executed.
  explicit StartedDaemon(const std::vector<std::string>& command);

  bool ended() const;
  /// What it has written to its standard error so far; the first 64 KB are kept.
  std::string complaint() const;

 private:
  UniqueFd errors_;   ///< memory that is its standard error: bounded, and gone with the last user
  UniqueFd process_;  ///< pidfd; empty if it had ended before we could look
};

}  // namespace mcpu
