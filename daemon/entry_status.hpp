#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "daemon/job_planner.hpp"

namespace mcpu {

/// How far an application is ours, for the status of its commands.
struct Possession {
  std::string current;     ///< release; empty: none
  bool installed = false;  ///< a release should stand at the commands
};

/// Adds how one command on PATH stands to an application's status: a member of `entry_points`, and
/// what is wrong with it to `problems`. Any thread.
void add_entry_status(const JobEnvironment& environment, const Application& app,
                      const EntryPoint& entry, const Possession& possession,
                      nlohmann::json& document);

}  // namespace mcpu
