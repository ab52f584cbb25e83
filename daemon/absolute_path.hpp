#pragma once

#include <string>

namespace mcpu {

/// A path as given on a command line, absolute and without `.`, `..` and a slash at its end.
/// Touches nothing but the current directory's name. Throws Error{kUsage} naming the path when it
/// is relative and the current directory is gone.
std::string absolute_path(const std::string& path);

}  // namespace mcpu
