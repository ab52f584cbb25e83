#pragma once

#include <string>

#include "daemon/file_system.hpp"

namespace mcpu {

/// Throws Error{kSource} if somebody else than this process's user and root owns or may write what
/// is at `path`: they would choose what the source brings. `source` names it in the error.
void require_closed(const std::string& source, const std::string& path, const FileInfo& info);

/// The same for everything below a directory.
void require_closed_tree(FileSystem& fs, const std::string& source, const std::string& directory);

/// The same for a git directory and for those it borrows objects from: who may add an object to
/// them offers a commit.
void require_closed_repository(FileSystem& fs, const std::string& source,
                               const std::string& git_directory);

}  // namespace mcpu
