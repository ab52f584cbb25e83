#pragma once

#include <cstdint>
#include <string>

namespace mcpu {

/// Where a source is, taken apart.
struct SourceLocation {
  enum class Kind { kPath, kFileUrl, kHttp, kHttps, kSsh };
  Kind kind = Kind::kPath;
  std::string path;      ///< kPath and kFileUrl: absolute, decoded
  std::string user;      ///< of a URL, decoded; may be empty
  std::string password;  ///< of a URL, decoded; never shown
  std::string host;      ///< without brackets; lower case
  std::uint16_t port = 0;
  std::string url;    ///< what libgit2 is given: without a password, user only for ssh
  std::string shown;  ///< what people are shown: without credentials
};

/// Reads a path, a URL (file, https, ssh; http only to this machine, because anyone on the way
/// could change what it brings) or `user@host:path`. Error{kSource} for anything else, without
/// repeating a password.
SourceLocation parse_location(const std::string& text);

}  // namespace mcpu
