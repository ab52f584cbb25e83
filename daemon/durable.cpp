#include "daemon/durable.hpp"

#include <algorithm>
#include <cerrno>

#include "proto/error.hpp"

namespace mcpu {

namespace {

std::string temporary_path(const std::string& path) {
  return parent_path(path) + "/." + base_name(path) + ".tmp";
}

/// Whether a directory, or a link to one, is there: people do link ~/.local elsewhere.
bool leads_to_directory(FileSystem& fs, const std::string& path) {
  return fs.info(path + "/.").has_value();
}

void remove_if_there(FileSystem& fs, const std::string& path) {
  try {
    fs.remove_file(path);
  } catch (const Error& error) {
    if (error.sys() != ENOENT) throw;
  }
}

/// Runs `change`, which fills the temporary name; if it fails nothing is left there.
template <typename Change>
void with_temporary(FileSystem& fs, const std::string& temporary, Change change) {
  try {
    change();
  } catch (const Error&) {
    try {
      remove_if_there(fs, temporary);
    } catch (const Error&) {
      // The first failure is the one to report; the next write replaces what is left.
    }
    throw;
  }
}

/// Makes the directory and those above it that are missing, each followed by a call of `made` with
/// its parent.
template <typename Made>
void make_each(FileSystem& fs, const std::string& path, std::uint32_t mode, Made made) {
  if (leads_to_directory(fs, path)) return;
  const std::string parent = parent_path(path);
  if (parent != path) make_each(fs, parent, mode, made);
  try {
    fs.make_directory(path, mode);
  } catch (const Error& error) {
    // Somebody else may have made it just now.
    if (error.sys() != EEXIST || !leads_to_directory(fs, path)) throw;
  }
  made(parent);
}

void remove_directory_tree(FileSystem& fs, const std::string& path, const FileInfo& info) {
  constexpr std::uint32_t kOwnerAll = 0700;
  if ((info.mode & kOwnerAll) != kOwnerAll) fs.set_mode(path, info.mode | kOwnerAll);
  for (const std::string& name : fs.list(path)) remove_tree(fs, path + "/" + name);
  fs.remove_directory(path);
}

}  // namespace

std::string parent_path(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string base_name(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

std::string read_file(FileSystem& fs, const std::string& path, std::uint64_t max_bytes) {
  const auto file = fs.open(path);
  const std::uint64_t size = file->info().size_bytes;
  if (size > max_bytes) throw io_error("read", path, EFBIG);
  std::string content(size, '\0');
  std::size_t used = file->read_at(0, content.data(), content.size());
  // It may have grown since, and files of /proc say that they are empty.
  while (used == content.size()) {
    content.resize(used + std::max<std::size_t>(used / 2, 4096));
    used += file->read_at(used, content.data() + used, content.size() - used);
    if (used > max_bytes) throw io_error("read", path, EFBIG);
  }
  content.resize(used);
  return content;
}

void write_durably(FileSystem& fs, const std::string& path, std::string_view content,
                   std::uint32_t mode) {
  const std::string temporary = temporary_path(path);
  remove_if_there(fs, temporary);
  with_temporary(fs, temporary, [&] {
    const auto file = fs.create(temporary, mode);
    file->write_at(0, content);
    file->sync();
    fs.rename(temporary, path);
  });
  fs.sync_directory(parent_path(path));
}

void link_durably(FileSystem& fs, const std::string& target, const std::string& path) {
  const std::string temporary = temporary_path(path);
  remove_if_there(fs, temporary);
  with_temporary(fs, temporary, [&] {
    fs.make_link(target, temporary);
    fs.rename(temporary, path);
  });
  fs.sync_directory(parent_path(path));
}

void make_directories(FileSystem& fs, const std::string& path, std::uint32_t mode) {
  make_each(fs, path, mode, [&](const std::string& parent) { fs.sync_directory(parent); });
}

void make_passing_directories(FileSystem& fs, const std::string& path, std::uint32_t mode) {
  make_each(fs, path, mode, [](const std::string&) {});
}

void remove_tree(FileSystem& fs, const std::string& path) {
  const auto info = fs.info(path);
  if (!info) return;
  if (info->type == FileType::kDirectory) {
    remove_directory_tree(fs, path, *info);
  } else {
    remove_if_there(fs, path);
  }
}

void remove_durably(FileSystem& fs, const std::string& path) {
  remove_tree(fs, path);
  if (fs.info(parent_path(path))) fs.sync_directory(parent_path(path));
}

}  // namespace mcpu
