#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "daemon/job_record.hpp"
#include "daemon/service_control.hpp"

namespace mcpu {

// Services that an undo did not bring back: noted in the job's result, shown by `status`.

/// Notes the units in a result's details.
void note_services_down(const std::vector<ServiceUnit>& units, nlohmann::json& details);

/// The protocol's Problems for the units that this job's undo did not bring back and that do not
/// run yet. REQUIRES: the record has a result. `services` may be null. Any thread.
std::vector<nlohmann::json> services_down(const JobRecord& record, ServiceControl* services,
                                          bool user_mode);

}  // namespace mcpu
