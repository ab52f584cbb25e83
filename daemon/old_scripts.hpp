#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/file_system.hpp"
#include "daemon/processes.hpp"

namespace mcpu {

/// A run of one of MCP Local Manager's own upgrade scripts: it changes what a job changes, and
/// knows of no lock but its own.
struct OldScript {
  std::int32_t pid = 0;
  std::string path;

  /// One sentence with the remedy.
  std::string problem() const;
};

/// The old scripts that these users run from a checkout, as far as this process may look into
/// theirs: shells keep the file that they run open. Of a checkout that is moved or gone, none.
/// Reads /proc; any thread.
std::vector<OldScript> running_old_scripts(const std::string& checkout,
                                           const std::vector<std::uint32_t>& uids);

/// The same of the processes that are hidden from this one, by their command lines, which the
/// system's service manager knows. Where that does not run or does not answer, none: there nothing
/// hides them. Waits at most some seconds. Throws Error{kCancelled}. Job thread.
std::vector<OldScript> hidden_old_scripts(ProcessPort& processes, const std::string& checkout,
                                          const std::vector<std::uint32_t>& uids,
                                          const Cancellation* cancellation);

/// The old script of this checkout that a command line runs, as it stands there, quotes and all;
/// empty: none. A relative path counts by its end: where the process stood is not known.
std::string old_script_in(std::string_view command, const std::string& checkout);

/// Lock files of old scripts that are there. Anybody can make one, so they say nothing of a run.
std::vector<std::string> old_script_locks(FileSystem& fs);

}  // namespace mcpu
