#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace mcpu {

/// The build directory that this test program was built in.
inline std::string build_directory() {
  if (const char* build = std::getenv("MCPU_BUILD")) return build;
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path().string();
}

/// The source directory; by convention the one above the build directory.
inline std::string source_directory() {
  if (const char* source = std::getenv("MCPU_SOURCE")) return source;
  return build_directory() + "/..";
}

/// Where the worker programs of this build are.
inline std::string worker_directory() { return build_directory() + "/daemon/worker"; }

}  // namespace mcpu
