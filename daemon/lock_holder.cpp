#include "daemon/lock_holder.hpp"

#include <sys/stat.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <vector>

#include "proto/text.hpp"

namespace mcpu {

namespace {

namespace fs = std::filesystem;

/// Whether what the kernel says of a descriptor names a lock on this inode. Read without touching
/// the file itself, which may lie on a file system that hangs.
bool holds_lock_on(const fs::path& descriptor_info, const std::string& inode) {
  std::ifstream info(descriptor_info);
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("lock:") && line.find(":" + inode + " ") != line.npos) return true;
  }
  return false;
}

/// What a directory of /proc holds; its process may end meanwhile.
std::vector<fs::path> entries(const fs::path& directory) {
  std::vector<fs::path> found;
  std::error_code gone;
  for (fs::directory_iterator one(directory, gone), end; one != end; one.increment(gone)) {
    found.push_back(one->path());
  }
  return found;
}

bool holds_lock(const fs::path& process, const struct stat& file) {
  const std::string inode = std::to_string(file.st_ino);
  for (const fs::path& one : entries(process / "fdinfo")) {
    if (!holds_lock_on(one, inode)) continue;
    // Inodes of other file systems have the same numbers.
    struct stat held {};
    const fs::path descriptor = process / "fd" / one.filename();
    if (::stat(descriptor.c_str(), &held) == 0 && held.st_dev == file.st_dev) return true;
  }
  return false;
}

}  // namespace

std::string LockHolder::shown() const {
  return "process " + std::to_string(pid) + (name.empty() ? "" : " (" + name + ")");
}

std::optional<LockHolder> find_lock_holder(const std::string& path) {
  struct stat file {};
  if (::lstat(path.c_str(), &file) != 0) return std::nullopt;
  for (const fs::path& process : entries("/proc")) {
    const std::string number = process.filename();
    LockHolder holder;
    const char* end = number.data() + number.size();
    if (std::from_chars(number.data(), end, holder.pid).ptr != end) continue;
    if (!holds_lock(process, file)) continue;
    std::error_code hidden;
    holder.name = escape_path(fs::read_symlink(process / "exe", hidden).filename().string());
    return holder;
  }
  return std::nullopt;
}

}  // namespace mcpu
