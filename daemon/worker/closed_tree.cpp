#include "daemon/worker/closed_tree.hpp"

#include <unistd.h>

#include <sstream>

#include "daemon/durable.hpp"
#include "daemon/writers.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

constexpr std::uint64_t kMaxAlternatesBytes = 64 * 1024;
constexpr int kMaxBorrowing = 5;  ///< as git has it

void borrow_closed(FileSystem& fs, const std::string& source, const std::string& objects,
                   int depth) {
  const std::string file = objects + "/info/alternates";
  if (!fs.info(file)) return;
  if (depth > kMaxBorrowing) {
    throw Error(Code::kSource,
                source + ": " + escape_path(file) +
                    " borrows from too many repositories: run 'git repack -a' there");
  }
  std::istringstream lines(read_file(fs, file, kMaxAlternatesBytes));
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line.front() == '#') continue;
    const std::string borrowed = line.front() == '/' ? line : objects + "/" + line;
    if (!fs.info(borrowed + "/.")) continue;
    require_closed_tree(fs, source, borrowed);
    borrow_closed(fs, source, borrowed, depth + 1);
  }
}

}  // namespace

void require_closed(const std::string& source, const std::string& path, const FileInfo& info) {
  const std::string where = escape_path(path);
  if (info.uid != 0 && info.uid != ::geteuid()) {
    throw Error(Code::kSource, source + ": " + where + " belongs to uid " +
                                   std::to_string(info.uid) +
                                   ", who could choose what it brings: 'chown " +
                                   std::to_string(::geteuid()) + " " + where + "'");
  }
  const std::string others = others_who_write(info);
  if (others.empty()) return;
  throw Error(Code::kSource, source + ": " + others + " may write " + where +
                                 ", and so choose what it brings: 'chmod -R go-w " + where + "'");
}

void require_closed_tree(FileSystem& fs, const std::string& source, const std::string& directory) {
  // What is named may be a link; what lies in it is not followed.
  if (const auto info = fs.info(directory + "/.")) require_closed(source, directory, *info);
  for (const std::string& name : fs.list(directory)) {
    const std::string path = directory + "/" + name;
    const auto info = fs.info(path);
    if (!info) continue;
    if (info->type == FileType::kDirectory) {
      require_closed_tree(fs, source, path);
    } else {
      require_closed(source, path, *info);
    }
  }
}

void require_closed_repository(FileSystem& fs, const std::string& source,
                               const std::string& git_directory) {
  std::string directory = git_directory;
  while (directory.size() > 1 && directory.ends_with('/')) directory.pop_back();
  require_closed_tree(fs, source, directory);
  borrow_closed(fs, source, directory + "/objects", 1);
}

}  // namespace mcpu
