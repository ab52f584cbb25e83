#include "daemon/source_rights.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <vector>

#include "daemon/durable.hpp"
#include "daemon/service_account.hpp"
#include "daemon/writers.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

constexpr int kMaxLinksOnTheWay = 40;
constexpr std::uint32_t kSticky = 01000;
constexpr std::uint32_t kCacheMode = 0700;

/// Something on the way of a path: who owns it may lead the path elsewhere.
struct Passed {
  std::string path;
  FileInfo info;
};

/// Follows a path as the kernel does, one name after the other.
class Walk {
 public:
  Walk(FileSystem& fs, const std::string& path) : fs_(fs) {
    add_names(path);
    while (!rest_.empty()) step();
  }
  /// All that was passed, links included; the last is where the path leads.
  const std::vector<Passed>& passed() const { return passed_; }

 private:
  void add_names(const std::string& path) {
    std::vector<std::string> names;
    for (std::size_t start = 0; start < path.size();) {
      const std::size_t end = std::min(path.find('/', start), path.size());
      names.push_back(path.substr(start, end - start));
      start = end + 1;
    }
    rest_.insert(rest_.begin(), names.begin(), names.end());
  }

  void step() {
    const std::string name = rest_.front();
    rest_.pop_front();
    if (name.empty() || name == ".") return;
    if (name == "..") {
      at_ = at_.substr(0, at_.rfind('/') == at_.npos ? 0 : at_.rfind('/'));
      return;
    }
    const std::string path = at_ + "/" + name;
    const auto info = fs_.info(path);
    if (!info) throw Error(Code::kSource, escape_path(path) + " does not exist");
    passed_.push_back({path, *info});
    if (info->type != FileType::kLink) {
      at_ = path;
      return;
    }
    if (++links_ > kMaxLinksOnTheWay) throw io_error("follow", path, ELOOP);
    const std::string target = fs_.read_link(path);
    if (target.starts_with("/")) at_.clear();
    add_names(target);
  }

  FileSystem& fs_;
  std::string at_;  ///< where it is, without links; empty: the root directory
  std::deque<std::string> rest_;
  std::vector<Passed> passed_;
  int links_ = 0;
};

/// What a path leads to; where it ends in "..", that was passed before.
FileInfo destination(FileSystem& fs, const std::string& path) {
  const auto info = fs.info(path + "/.");
  const auto found = info ? info : fs.info(path);
  if (!found) throw Error(Code::kSource, escape_path(path) + " does not exist");
  return *found;
}

void require_closed(const std::string& location, const Passed& directory) {
  if (directory.info.type != FileType::kDirectory) return;
  const std::string others = others_who_write(directory.info);
  if (others.empty()) return;
  const std::string where = escape_path(directory.path);
  throw refused(others + " may write " + where + " on the way to the source " +
                escape_path(location) + ", and so choose what it brings: 'chmod go-w " + where +
                "', or move the source");
}

/// What lies in a directory that others may write, sticky or not, could be removed one day, and
/// made again by somebody else. Only root's own stays what it is where the directory is sticky.
void require_kept(const std::string& location, const Walk& walk, const Passed& passed) {
  const std::string above = parent_path(passed.path);
  for (const Passed& directory : walk.passed()) {
    const bool kept = (directory.info.mode & kSticky) && passed.info.uid == 0;
    if (directory.path == above && !kept) require_closed(location, directory);
  }
}

void require_trusted(const std::string& location, const Passed& passed, std::uint32_t owner) {
  const std::string where = escape_path(passed.path);
  if (passed.info.uid != 0 && passed.info.uid != owner) {
    throw refused(
        "the source " + escape_path(location) + " belongs to uid " + std::to_string(owner) +
        ", but uid " + std::to_string(passed.info.uid) + " owns " + where +
        " on the way to it and could lead it elsewhere: move the source, or chown one of them");
  }
}

}  // namespace

std::optional<std::uint32_t> owner_of_path(FileSystem& fs, const std::string& location) {
  if (!location.starts_with("/")) return std::nullopt;
  const auto info = fs.info(location + "/.");
  return info ? std::optional(info->uid) : std::nullopt;
}

Identity source_identity(FileSystem& fs, const std::string& location) {
  if (!location.starts_with("/")) return service_account(kSourceAccount);
  const FileInfo found = destination(fs, location);
  const std::uint32_t owner = found.uid;
  const Walk walk(fs, location);
  for (const Passed& passed : walk.passed()) {
    require_trusted(location, passed, owner);
    require_kept(location, walk, passed);
  }
  require_closed(location, {location, found});
  try {
    return identity_of(owner);
  } catch (const Error&) {
    throw refused("the source " + escape_path(location) + " belongs to uid " +
                  std::to_string(owner) +
                  ", which is no user here: chown it to one, or name another source with --from");
  }
}

std::string make_cache(FileSystem& fs, const Layout& layout, const std::string& app,
                       const Identity& who) {
  const std::string directory = layout.app_cache(app);
  make_directories(fs, parent_path(directory), 0711);
  if (!fs.info(directory)) fs.make_directory(directory, kCacheMode);
  // Ours and empty: made just now, or by a daemon that died here.
  if (fs.info(directory)->uid == ::geteuid() && fs.list(directory).empty()) {
    fs.set_owner(directory, who.uid, who.gid);
  }
  const FileInfo info = fs.info(directory).value_or(FileInfo{});
  if (info.type != FileType::kDirectory || info.uid != who.uid) {
    throw refused("the clone cache " + escape_path(directory) + " is not a directory of " +
                  who.name + ": remove it, it is made anew");
  }
  if (info.mode != kCacheMode) fs.set_mode(directory, kCacheMode);
  return directory;
}

}  // namespace mcpu
