#pragma once

#include <functional>

#include "daemon/job_planner.hpp"

namespace mcpu {

/// What a dry run found beside the prepared job.
struct DryRun {
  JobRequest request;
  std::vector<Notice> notices;
  std::string refusal;               ///< why the preflight would refuse it; empty: it would not
  std::vector<std::string> repairs;  ///< what a repair would do besides its plan
};

/// The protocol's reply of Plan for a prepared job. Entries with `concerns` are for that user
/// alone: hide_private().
nlohmann::json describe_dry_run(const JobEnvironment& environment, const PreparedJob& job,
                                const DryRun& found);

/// Takes out of such a reply what a peer may not see, and the marks on the rest.
void hide_private(nlohmann::json& reply, const std::function<bool(std::uint32_t)>& may_see);

/// The protocol's Release.
nlohmann::json release_document(const ReleaseInfo& info);

}  // namespace mcpu
