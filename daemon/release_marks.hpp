#pragma once

#include <string>
#include <vector>

#include "daemon/file_system.hpp"

namespace mcpu {

/// What one look at a file, directory or link tells. Whatever is done to it later changes a mark.
struct Mark {
  std::string path;  ///< below the directory that was marked
  FileType type = FileType::kFile;
  std::uint32_t mode = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t inode = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;
  bool operator==(const Mark&) const = default;
};
using Marks = std::vector<Mark>;

/// Marks everything below a directory, parents before children, in the order of the names: marks
/// taken at two times are equal unless something was touched in between. Opens no file.
Marks mark_tree(FileSystem& fs, const std::string& directory);

}  // namespace mcpu
