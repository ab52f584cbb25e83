#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

#include "daemon/unique_fd.hpp"

namespace mcpu {

// What a daemon says to systemd and hears from it, after the protocols of sd_notify(3),
// sd_watchdog_enabled(3) and sd_listen_fds(3). By hand, since libsystemd and what it pulls in would
// be a tenth of the daemon's memory.

/// Sends "READY=1", "STOPPING=1" ... to the service manager if there is one ($NOTIFY_SOCKET). Never
/// fails: nothing depends on it but the manager's view of us. Any thread.
void notify_service_manager(std::string_view state) noexcept;

/// Within which time the service manager wants a sign of life again and again; empty: it does not
/// watch us.
std::optional<std::chrono::milliseconds> watchdog_time();

/// RELOADING=1 with the time that systemd wants beside it.
void notify_reloading() noexcept;

/// The listening sockets that the service manager passed; none without it. The variables that name
/// them are taken out of the environment, so that no child takes them for its own: call it once,
/// before any thread is started. Throws Error{kUsage} for a descriptor that is no listening Unix
/// stream socket.
std::vector<UniqueFd> passed_sockets();

}  // namespace mcpu
