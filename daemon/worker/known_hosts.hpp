#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mcpu {

/// What a known_hosts file says of a host's key.
enum class HostKey {
  kKnown,
  kUnknown,    ///< the host is not in the file, or only with keys of other types
  kDifferent,  ///< the file has another key of this type for the host
  kRevoked     ///< the key is marked as no longer to be trusted
};

/// Looks a key up as sshd(8) describes the file: plain names, patterns, `[host]:port`, hashed
/// names. `key` is the key as it goes over the wire. Certificate authorities are not followed.
HostKey judge_host_key(std::string_view known_hosts, const std::string& host, std::uint16_t port,
                       std::string_view key);

/// The line that would make the key known.
std::string known_hosts_line(const std::string& host, std::uint16_t port, std::string_view key);

/// "ssh-ed25519, SHA256:..." as ssh-keygen prints it.
std::string key_fingerprint(std::string_view key);

}  // namespace mcpu
