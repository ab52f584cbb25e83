#include "daemon/program_paths.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <vector>

#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {
namespace {

bool runnable(const std::string& program) { return access(program.c_str(), X_OK) == 0; }

constexpr std::array kWorkers{"mcp-upgraded-worker", "mcp-upgraded-source",
                              "mcp-upgraded-services"};

bool complete(const ProgramPaths& paths) {
  return runnable(paths.launcher) && std::ranges::all_of(kWorkers, [&](const char* worker) {
           return runnable(paths.workers + "/" + worker);
         });
}

ProgramPaths first_complete(const std::vector<ProgramPaths>& candidates) {
  std::string looked;
  for (const ProgramPaths& paths : candidates) {
    if (complete(paths)) return paths;
    looked += (looked.empty() ? "" : ", ") + escape_path(paths.workers);
  }
  throw Error(
      Code::kNotFound,
      "the programs mcp-upgraded-worker, -source and -services, and mcp-launch, are not all in any "
      "of: " +
          looked + "; install mcp-upgraded completely, or name their directory with --program-dir",
      {{"what", "worker programs"}});
}

std::string own_directory() {
  std::array<char, PATH_MAX> buffer;
  const ssize_t size = readlink("/proc/self/exe", buffer.data(), buffer.size());
  if (size <= 0) return {};
  const std::string path(buffer.data(), static_cast<std::size_t>(size));
  return path.substr(0, path.rfind('/'));
}

}  // namespace

ProgramPaths find_programs(const std::string& directory) {
  if (!directory.empty()) return first_complete({{directory, directory + "/mcp-launch"}});
  return find_programs_beside(own_directory());
}

ProgramPaths find_programs_beside(const std::string& own_directory) {
  const std::string above = own_directory.substr(0, own_directory.rfind('/'));
  const std::string installed = above + "/libexec/mcp-upgraded";
  const std::string configured = MCPU_LIBEXEC_DIR;
  return first_complete({{own_directory + "/worker", above + "/client/mcp-launch"},
                         {installed, installed + "/mcp-launch"},
                         {configured, configured + "/mcp-launch"}});
}

}  // namespace mcpu
