#pragma once

#include "daemon/job_planner.hpp"

namespace mcpu {

/// The protocol's reply of Plan for a prepared job. `problem` is why the preflight would refuse it,
/// empty if it would not.
nlohmann::json describe_dry_run(const JobEnvironment& environment, const PreparedJob& job,
                                const std::vector<Notice>& notices, const std::string& problem);

/// The protocol's Release.
nlohmann::json release_document(const ReleaseInfo& info);

}  // namespace mcpu
