#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/layout.hpp"
#include "proto/job_request.hpp"

namespace mcpu {

enum class Command {
  kUpgrade,
  kRollback,
  kRepair,
  kStatus,
  kJobs,
  kLogs,
  kWatch,
  kReleases,
  kPin,
  kUnpin,
  kHold,
  kUnhold,
  kCheck,
  kCancel,
  kConfigShow,
  kConfigValidate
};

enum class ColorChoice { kAuto, kAlways, kNever };

/// What a person asked for, in whatever order the words came. Each command uses its own part.
struct Arguments {
  Command command = Command::kStatus;
  InstanceOptions instance;
  bool json = false;
  bool verbose = false;
  bool quiet = false;
  ColorChoice color = ColorChoice::kAuto;

  JobRequest request;         ///< upgrade, rollback, check, repair; `app` for every command
  bool dry_run = false;       ///< upgrade, rollback, repair
  bool detach = false;        ///< upgrade, rollback, check, repair
  std::optional<JobId> job;   ///< logs, watch, cancel
  bool follow = false;        ///< logs
  std::uint64_t after = 0;    ///< logs: events with a higher number
  std::optional<Tier> level;  ///< logs: this tier and worse
  std::string release;        ///< pin, unpin, hold, unhold
  bool verify = false;        ///< status
  std::string file;           ///< config validate
};

/// A command line that was understood: either a command to run, or a text to print and be done.
struct CommandLine {
  Arguments arguments;
  std::string text;  ///< help or version; then `arguments` means nothing
};

/// Reads the words after the program's name. Touches nothing outside of this process but the
/// current directory's name, so that a misspelt option never has an effect. Throws Error{kUsage}
/// naming the word and, where one is near, the word that was probably meant.
CommandLine parse_command_line(const std::vector<std::string>& words);

/// A source as the daemon, whose current directory is another, must be told it: paths become
/// absolute, URLs and the short ssh form (host:path) stay as they are.
std::string absolute_source(const std::string& source);

/// The help page of a command ("upgrade", "config validate"); of mcpctl itself for "".
std::string_view help_text(std::string_view command);

}  // namespace mcpu
