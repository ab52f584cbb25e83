#pragma once

#include "daemon/identity.hpp"

namespace mcpu {

/// The users of a system-mode daemon that belong to no person; systemd/sysusers makes them. The
/// first fetches URLs and owns the clones, the second runs checks where there is no one to run them
/// as.
inline constexpr const char* kSourceAccount = "mcp-upgrade-source";
inline constexpr const char* kCheckAccount = "mcp-upgrade-check";

/// Looks one of them up. Error{kRefused} says how to make it; an account that is root in disguise
/// is refused too.
Identity service_account(const char* name);

}  // namespace mcpu
