#pragma once

#include <string>

namespace mcpu {

/// The kinds of URL that are fetched, for messages.
inline constexpr const char* kSourceSchemes = "https, ssh or file (http from this machine alone)";

/// A source as anybody may see it: the password in a URL, or a name that is a token, becomes "***".
/// Paths, and URLs without one, stay as they are.
std::string without_password(const std::string& source);

/// Whether a source is a path that depends on where one stands: neither from / on, nor a URL, nor
/// host:path as git reads it, with a colon before the first slash.
bool relative_path(const std::string& source);

}  // namespace mcpu
