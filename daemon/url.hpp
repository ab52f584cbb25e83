#pragma once

#include <string>

namespace mcpu {

/// A source as anybody may see it: the password in a URL, or a name that is a token, becomes "***".
/// Paths, and URLs without one, stay as they are.
std::string without_password(const std::string& source);

}  // namespace mcpu
