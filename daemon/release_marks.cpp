#include "daemon/release_marks.hpp"

namespace mcpu {

namespace {

void mark_below(FileSystem& fs, const std::string& root, const std::string& directory,
                Marks& marks) {
  for (const std::string& name : fs.list(root + directory)) {
    const std::string path = directory + "/" + name;
    const auto info = fs.info(root + path);
    if (!info) continue;  // removed since: the directory's own mark tells
    marks.push_back({path, info->type, info->mode, info->size_bytes, info->inode, info->mtime_ns,
                     info->ctime_ns});
    if (info->type == FileType::kDirectory) mark_below(fs, root, path, marks);
  }
}

}  // namespace

Marks mark_tree(FileSystem& fs, const std::string& directory) {
  Marks marks;
  mark_below(fs, directory, "", marks);
  return marks;
}

}  // namespace mcpu
