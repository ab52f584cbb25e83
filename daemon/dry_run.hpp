#pragma once

#include <functional>

#include "daemon/job_planner.hpp"

namespace mcpu {

/// The protocol's reply of Plan for a prepared job. `refusal` is why the preflight would refuse it,
/// empty if it would not. Entries with `concerns` are for that user alone: hide_private().
nlohmann::json describe_dry_run(const JobEnvironment& environment, const PreparedJob& job,
                                const std::vector<Notice>& notices, const std::string& refusal);

/// Takes out of such a reply what a peer may not see, and the marks on the rest.
void hide_private(nlohmann::json& reply, const std::function<bool(std::uint32_t)>& may_see);

/// The protocol's Release.
nlohmann::json release_document(const ReleaseInfo& info);

}  // namespace mcpu
