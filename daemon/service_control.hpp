#pragma once

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "daemon/plan.hpp"
#include "daemon/processes.hpp"

namespace mcpu {

/// A unit of the system's service manager, or of one user's.
struct ServiceUnit {
  std::string name;  ///< "example.service"
  Identity owner;    ///< whose rights it takes to control it: root for the system's
  bool of_user = false;
  bool required = true;  ///< false: of a user who may fail no job

  /// "example.service", "example.service of anna".
  std::string shown() const { return of_user ? name + " of " + owner.name : name; }
};

/// How a unit stands.
struct ServiceState {
  enum class Known {
    kYes,
    kNo,        ///< no unit of that name can be loaded
    kNoManager  ///< the service manager itself does not run
  };
  Known known = Known::kYes;
  std::string active;  ///< systemd's ActiveState: "active", "inactive", "failed" ...
  std::string reason;  ///< for those that are not known

  bool up() const { return active == "active" || active == "reloading"; }
  /// Up, or on its way: a service that fails again and again is "activating" in between.
  bool runs() const { return up() || active == "activating"; }
};

/// What came of a restart.
struct RestartResult {
  bool runs = false;
  std::string reason;              ///< why not, one line
  std::vector<std::string> lines;  ///< what its journal says of that moment
  bool timed_out = false;          ///< nobody knows: it was not waited for any longer
};

/// The port to service managers. Any thread.
class ServiceControl {
 public:
  virtual ~ServiceControl() = default;

  /// Throws Error{kWorker}, kTimeout, kCancelled.
  virtual ServiceState look(const ServiceUnit& unit, const Cancellation* cancellation) = 0;
  /// Restarts a unit, whatever limit of starts it has, waits until that is done and watches it for
  /// a settling time: one that does not come up, or does not stay up, is a result. Throws as look()
  /// does.
  virtual RestartResult restart(const ServiceUnit& unit, std::chrono::seconds deadline,
                                const Cancellation* cancellation) = 0;
};

/// Controls units through the program `mcp-upgraded-services`, with the rights of their owners.
std::unique_ptr<ServiceControl> make_service_control(ProcessPort& processes);

/// What is written "user:" in front of a unit's name in the configuration.
inline constexpr std::string_view kUserUnit = "user:";

/// The units that the configuration names, for these users: each user's for "user:NAME", and all of
/// them the daemon's own user's in user mode.
std::vector<ServiceUnit> configured_units(const std::vector<std::string>& names,
                                          const std::vector<ManagedUser>& users, bool user_mode);

nlohmann::json to_json(const ServiceUnit& unit);
/// Throws nlohmann's exceptions.
ServiceUnit service_unit_from_json(const nlohmann::json& document);

}  // namespace mcpu
