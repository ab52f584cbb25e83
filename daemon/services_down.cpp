#include "daemon/services_down.hpp"

#include "proto/error.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

/// Of a result's details: a list of {unit, user}; user is empty for the system's units.
constexpr const char* kKey = "services_down";

std::vector<ServiceUnit> recorded_units(const json& details) {
  std::vector<ServiceUnit> units;
  const auto list = details.is_object() ? details.find(kKey) : details.end();
  if (list == details.end() || !list->is_array()) return units;
  for (const json& one : *list) {
    ServiceUnit unit;
    unit.name = one.value("unit", "");
    unit.owner.name = one.value("user", "");
    unit.of_user = !unit.owner.name.empty();
    units.push_back(std::move(unit));
  }
  return units;
}

/// Whether a unit of the daemon's own service manager runs by now. Others' managers are not asked,
/// since they need not answer: what was down there stands until the next job.
bool runs(ServiceUnit unit, ServiceControl* services, bool user_mode) {
  if (!services || (unit.of_user && !user_mode)) return false;
  try {
    unit.owner = own_identity();
    return services->look(unit, nullptr).runs();
  } catch (const Error&) {
    return false;
  }
}

std::string systemctl(const ServiceUnit& unit, bool user_mode) {
  if (!unit.of_user) return "systemctl";
  return "systemctl --user" + (user_mode ? "" : " --machine=" + unit.owner.name + "@");
}

}  // namespace

void note_services_down(const std::vector<ServiceUnit>& units, json& details) {
  for (const ServiceUnit& unit : units) {
    details[kKey].push_back({{"unit", unit.name}, {"user", unit.of_user ? unit.owner.name : ""}});
  }
}

std::vector<json> services_down(const JobRecord& record, ServiceControl* services, bool user_mode) {
  std::vector<json> problems;
  for (const ServiceUnit& unit : recorded_units(record.result->details)) {
    if (runs(unit, services, user_mode)) continue;
    const std::string command = systemctl(unit, user_mode);
    problems.push_back({{"what", "service " + unit.shown() + " does not run since job " +
                                     std::to_string(record.id) + " was undone"},
                        {"remedy", "'" + command + " status " + unit.name + "' says why, '" +
                                       command + " start " + unit.name + "' starts it"}});
  }
  return problems;
}

}  // namespace mcpu
