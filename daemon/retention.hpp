#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "daemon/configuration.hpp"
#include "daemon/release_store.hpp"
#include "daemon/state_store.hpp"

namespace mcpu {

/// What must stay, each release with the reasons, and the jobs whose snapshots and logs stay.
struct Kept {
  std::map<std::string, std::vector<std::string>> releases;
  std::set<JobId> jobs;
};

/// The rule: current, the one to roll back to, pinned ones, and what the newest committed quick and
/// full jobs need; the newest snapshot always. A job whose way back is a release known to be
/// damaged does not count. A pure function.
Kept what_to_keep(const ApplicationState& state, const std::string& current,
                  const Retention& retention);

/// The stored releases that prune() would remove. Reads only.
std::vector<std::string> unneeded_releases(FileSystem& fs, const Layout& layout,
                                           const std::string& app, const State& state,
                                           const Retention& retention);

/// Removes what need not be kept, and returns the releases among that. A release that a process
/// runs from stays and is tried again by a later job. Reported through the log; failures are
/// warnings: pruning never fails a job.
std::vector<std::string> prune(FileSystem& fs, const Layout& layout, const std::string& app,
                               const State& state, const Retention& retention, class JobLog& log);

}  // namespace mcpu
