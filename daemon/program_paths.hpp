#pragma once

#include <string>

namespace mcpu {

/// Where the programs are that the daemon starts or copies. Absolute paths.
struct ProgramPaths {
  std::string workers;   ///< directory of the programs mcp-upgraded-{worker,source,services}
  std::string launcher;  ///< mcp-launch
};

/// Finds them: in `directory` if that is given, else relative to this program, where it was
/// installed or where it was built. Throws Error{kNotFound} saying where they were looked for.
ProgramPaths find_programs(const std::string& directory);

/// The same for a program that lies in `own_directory`.
ProgramPaths find_programs_beside(const std::string& own_directory);

}  // namespace mcpu
