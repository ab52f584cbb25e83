#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/peer.hpp"
#include "proto/job_request.hpp"

namespace mcpu {

/// What decides about rights beside the peer itself. Made once for each reading of the
/// configuration; no name-service look-up happens for a connection.
struct Access {
  bool user_mode = true;
  std::uint32_t own_uid = 0;
  std::string group;                      ///< name of the group whose members may change things
  std::optional<std::uint32_t> group_id;  ///< empty: there is no such group
};

/// Looks the group up; a name without a group is no error, its members are just nobody.
Access make_access(bool user_mode, std::uint32_t own_uid, const std::string& group);

// Who may do what. Pure functions, callable from any thread.

/// Root, the daemon's own user, and in system mode the group's members.
bool may_change(const Access& access, const Peer& peer);

/// Throws Error{kNotAuthorized, {action}} unless `peer` may do `action` ("cancel", "pin" ...),
/// which affects everybody.
void authorize_change(const Access& access, const Peer& peer, std::string_view action);

/// The same for a job, or for the plan of one. What puts code of the caller's choice on everybody's
/// PATH (`from`, `worktree`, `force`, and `to` of an upgrade unless it names a version) or replaces
/// what others wrote in their homes (`configs` always) is in system mode for root and the daemon's
/// own user alone.
void authorize_job(const Access& access, const Peer& peer, const JobRequest& request);

/// Whether `peer` sees the details of an event that concerns `uid`.
bool may_see(const Access& access, std::uint32_t uid, const Peer& peer);

}  // namespace mcpu
