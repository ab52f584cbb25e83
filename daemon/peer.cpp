#include "daemon/peer.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <fstream>
#include <string>

#include "proto/error.hpp"

namespace mcpu {

namespace {

/// What the audit system says for a process that nobody logged in for.
constexpr std::uint32_t kNoLogin = UINT32_MAX;

std::vector<std::uint32_t> groups_of(int socket) {
  std::vector<std::uint32_t> groups(64);
  for (;;) {
    auto bytes = static_cast<socklen_t>(groups.size() * sizeof(std::uint32_t));
    const int result = ::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes);
    const bool too_small = result != 0 && errno == ERANGE;
    if (result != 0 && !too_small) throw io_error("read the groups of", "a peer", errno);
    groups.resize(bytes / sizeof(std::uint32_t));
    if (!too_small) return groups;
  }
}

std::optional<std::uint32_t> login_uid_of(std::int32_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/loginuid");
  std::uint32_t uid = kNoLogin;
  if (!(file >> uid) || uid == kNoLogin) return std::nullopt;
  return uid;
}

}  // namespace

Peer peer_of(int socket) {
  ucred credentials{};
  socklen_t bytes = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) != 0) {
    throw io_error("read the credentials of", "a peer", errno);
  }
  return {credentials.uid, credentials.gid, credentials.pid, groups_of(socket),
          login_uid_of(credentials.pid)};
}

}  // namespace mcpu
