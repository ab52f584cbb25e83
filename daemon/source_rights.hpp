#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/file_system.hpp"
#include "daemon/identity.hpp"
#include "daemon/layout.hpp"

namespace mcpu {

/// Whose rights a source worker of a system-mode daemon gets: a path's is its top directory's
/// owner's, root's only where nobody else could have chosen what lies there. Error{kRefused} when
/// somebody else than root and that owner could lead the path elsewhere: the owner's worker would
/// then publish what the owner never offered. A URL is kSourceAccount's. Reads names only.
Identity source_identity(FileSystem& fs, const std::string& location);

/// The owner of what a path leads to, links followed; empty for a URL or where nothing is.
std::optional<std::uint32_t> owner_of_path(FileSystem& fs, const std::string& location);

/// Makes an application's clone cache, 0700 and `who`'s, in a directory that is root's, and returns
/// its path. Error{kRefused} for one that is somebody else's: who knows what is in it.
std::string make_cache(FileSystem& fs, const Layout& layout, const std::string& app,
                       const Identity& who);

}  // namespace mcpu
