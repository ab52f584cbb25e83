#include "daemon/worker/managed_file.hpp"

#include <cerrno>

#include "daemon/durable.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {
namespace {

constexpr int kMaxLinks = 40;
constexpr int kMaxReadings = 3;

std::string_view type_name(FileType type) {
  switch (type) {
    case FileType::kFile:
      return "a regular file";
    case FileType::kDirectory:
      return "a directory";
    case FileType::kLink:
      return "a link";
    case FileType::kFifo:
      return "a FIFO";
    case FileType::kSocket:
      return "a socket";
    case FileType::kDevice:
      return "a device";
  }
  return "of an unknown type";
}

/// What to do about a file of somebody else, with the user's own rights: a chown that root is told
/// would follow whatever links the user makes meanwhile.
std::string foreign(const HomeView& view, const FileState& state, const FileInfo& info) {
  const std::string owner = info.uid == 0 ? "root" : "uid " + std::to_string(info.uid);
  const std::string path = "'" + escape_path(view.full(state.path)) + "'";
  const std::string copy = "'" + escape_path(view.full(state.path)) + ".new'";
  return (state.link.empty() ? "" : "is a link to " + escape_path(state.link) + ", which ") +
         "belongs to " + owner + ", not to " + view.user + ": as " + view.user +
         ", remove it or put a copy in its place: cp " + path + " " + copy + " && mv " + copy +
         " " + path;
}

/// Why a file must not be managed, judged by what lstat says; empty: fine.
std::string unfit(const HomeView& view, const FileState& state, const FileInfo& info) {
  if (info.type != FileType::kFile) {
    return "is " + std::string(type_name(info.type)) + ", not a regular file";
  }
  if (info.uid != view.uid) return foreign(view, state, info);
  if (info.size_bytes > kMaxManagedFileBytes) {
    return "is larger than " + format_bytes(kMaxManagedFileBytes) +
           ": no configuration file is; take it out of the configuration";
  }
  return {};
}

void take_over(FileState& state, const FileInfo& info) {
  state.exists = true;
  state.mode = info.mode;
  state.uid = info.uid;
  state.gid = info.gid;
  state.size_bytes = info.size_bytes;
  state.mtime_ns = info.mtime_ns;
}

/// Hashes and optionally keeps the file's bytes. The state's size is that of what was read.
void read_once(const InputFile& file, FileState& state, std::string* content) {
  Sha256Stream digest;
  std::string buffer(kPieceBytes, '\0');
  state.size_bytes = 0;
  if (content != nullptr) content->clear();
  while (const auto got = file.read_at(state.size_bytes, buffer.data(), buffer.size())) {
    const std::string_view piece(buffer.data(), got);
    digest.update(piece);
    if (content != nullptr) content->append(piece);
    state.size_bytes += got;
    if (state.size_bytes > kMaxManagedFileBytes) throw io_error("read", state.path, EFBIG);
  }
  state.content = digest.finish();
}

void read_stable(const HomeView& view, const Located& located, FileState& state,
                 std::string* content) {
  for (int reading = 1;; ++reading) {
    const auto file = view.fs.open(located.path);
    const auto before = file->info();
    // Judged again by what is really open: the path may lead elsewhere by now.
    state.problem = unfit(view, state, before);
    if (!state.problem.empty()) return;
    take_over(state, before);
    read_once(*file, state, content);
    const auto after = file->info();
    const bool calm = after.mtime_ns == before.mtime_ns && after.size_bytes == state.size_bytes;
    if (calm || reading == kMaxReadings) return;
  }
}

}  // namespace

Located locate(FileSystem& fs, const std::string& path) {
  Located located{path, {}, fs.info(path)};
  for (int links = 0; located.info && located.info->type == FileType::kLink; ++links) {
    if (links == kMaxLinks) throw io_error("follow", path, ELOOP);
    const auto target = fs.read_link(located.path);
    if (links == 0) located.link = target;
    located.path = target.starts_with('/') ? target : parent_path(located.path) + "/" + target;
    located.info = fs.info(located.path);
  }
  return located;
}

FileState examine(const HomeView& view, const std::string& path, std::string* content) {
  FileState state;
  state.path = path;
  try {
    const auto located = locate(view.fs, view.full(path));
    state.link = located.link;
    if (!located.info) return state;
    take_over(state, *located.info);
    state.problem = unfit(view, state, *located.info);
    if (state.problem.empty()) read_stable(view, located, state, content);
  } catch (const Error& error) {
    if (error.code() != Code::kIo) throw;
    state.problem = error.what();
  }
  return state;
}

}  // namespace mcpu
