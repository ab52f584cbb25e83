#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "daemon/file_system.hpp"

namespace mcpu {

/// The directory part of an absolute path, and the last component.
std::string parent_path(const std::string& path);
std::string base_name(const std::string& path);

/// Reads a whole regular file. Larger than `max_bytes`: Error{kIo} with EFBIG.
std::string read_file(FileSystem& fs, const std::string& path, std::uint64_t max_bytes);

/// Writes a file so that after a crash either the old or the new content is there: temporary name
/// `.NAME.tmp` in the same directory (a left-over one is replaced), sync, rename, directory sync.
void write_durably(FileSystem& fs, const std::string& path, std::string_view content,
                   std::uint32_t mode);

/// Points the link at `path` to `target` atomically (temporary link, rename, directory sync).
/// Replaces whatever file or link is there.
void link_durably(FileSystem& fs, const std::string& target, const std::string& path);

/// Creates a directory and those above it that are missing, and syncs each parent it changed.
void make_directories(FileSystem& fs, const std::string& path, std::uint32_t mode);
/// The same without a sync, for what nobody misses after a crash.
void make_passing_directories(FileSystem& fs, const std::string& path, std::uint32_t mode);

/// Removes a file, link or a whole directory tree without following links; nothing there is fine.
/// Directories that were made read-only are made writable first. Does not sync.
void remove_tree(FileSystem& fs, const std::string& path);

/// remove_tree and a sync of the parent, if that exists.
void remove_durably(FileSystem& fs, const std::string& path);

}  // namespace mcpu
