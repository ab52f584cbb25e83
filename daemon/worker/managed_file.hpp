#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/file_system.hpp"
#include "daemon/home.hpp"
#include "daemon/worker_link.hpp"

namespace mcpu {

/// The home a worker works in, with its owner's rights.
struct HomeView {
  FileSystem& fs;
  std::string home;         ///< absolute
  std::uint32_t uid = 0;    ///< whose files are managed
  std::string user;         ///< its name, for messages
  bool privileged = false;  ///< this process may give files away (it is root)

  std::string full(const std::string& path) const { return home + "/" + path; }
};

/// Where a path leads.
struct Located {
  std::string path;              ///< the last one: not a link
  std::string link;              ///< where the first one points, if it is a link
  std::optional<FileInfo> info;  ///< of the last one; empty: nothing is there
};

/// Follows links by hand, at most 40: the port never does. Error{kIo} with ELOOP for more.
Located locate(FileSystem& fs, const std::string& path);

/// State of a managed file now; with `content` not null its content too. Whatever makes the file
/// unfit (type, owner, size, rights) is in the state's `problem`, not thrown. A file that is
/// written while it is read is read again.
FileState examine(const HomeView& view, const std::string& path, std::string* content = nullptr);

}  // namespace mcpu
