#pragma once

#include <optional>
#include <string>

#include "daemon/upgrade_service.hpp"

namespace mcpu {

// What the daemon's program does on its own, for when no daemon can serve: a broken configuration
// of the service manager, a socket in the way, no client. The same engine, under the same lock.

/// Finishes or undoes what an interrupted job left. Returns the exit code: 0, or 6 when something
/// keeps it pending. REQUIRES: start() was called.
int recover_offline(UpgradeService& service);

/// Recovers, then rolls an application back as the `Rollback` method does: `to` is a release, a
/// version or "before". Returns the exit code of that job. Throws what a refused request throws.
int roll_back_offline(UpgradeService& service, const std::string& app,
                      const std::optional<std::string>& to);

}  // namespace mcpu
