#pragma once

#include <optional>
#include <string>

#include "daemon/layout.hpp"

namespace mcpu {

/// The daemon's command line.
struct DaemonOptions {
  InstanceOptions instance;  ///< `user` is set if neither was given and we are not root
  bool on_demand = false;    ///< started by mcpctl: diagnostics go to a file
  bool check_config = false;
  bool json = false;  ///< check_config: the verdict as one JSON object on standard output
  bool verbose = false;
  bool recover = false;           ///< end what was interrupted, without a socket, and end
  bool rollback = false;          ///< recover, roll back, and end
  std::string app;                ///< rollback: of which application; empty: the only one
  std::optional<std::string> to;  ///< rollback: a release, version or "before"
  std::string program_directory;  ///< where the worker programs are; empty: found by itself
};

/// What the command line came to: options, or nothing and the exit code (help or version were
/// printed: 0, a usage error was: 2).
struct ParsedOptions {
  std::optional<DaemonOptions> options;
  int exit_code = 0;
};

/// Reads the command line; prints help, the version or what is wrong.
ParsedOptions parse_daemon_options(int argc, const char* const* argv, bool is_root);

}  // namespace mcpu
