#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace mcpu {

/// Who is at the other end of a connection, as the kernel says once after accept (SO_PEERCRED,
/// SO_PEERGROUPS); the login uid is the audit one, from /proc.
struct Peer {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::int32_t pid = 0;
  std::vector<std::uint32_t> groups;
  std::optional<std::uint32_t> login_uid;
};

/// Reads who is at the other end of a connected Unix socket. Throws Error{kIo}.
Peer peer_of(int socket);

}  // namespace mcpu
