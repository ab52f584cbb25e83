#pragma once

#include <memory>
#include <string>
#include <vector>

#include "daemon/file_system.hpp"
#include "daemon/worker/opened_source.hpp"

namespace mcpu {

/// Lists and hashes everything in a directory but what is excluded, on several threads. Nothing is
/// followed and nothing blocks. What others may not read, devices, FIFOs, sockets, set-uid and
/// set-gid files are Error{kSource} by name, and so is a tree beyond the limits. Version, changelog
/// and entry points are left to the caller. `fs` must outlive the result.
std::unique_ptr<OpenedSource> open_directory(FileSystem& fs, const std::string& directory,
                                             const SourceRequest& request);

/// The same for known paths within a directory: the tracked files of a checkout, as they are. Those
/// that are gone are left out. Files that only their owner may read are taken: being tracked, they
/// are no secrets.
std::unique_ptr<OpenedSource> open_files(FileSystem& fs, const std::string& directory,
                                         const std::vector<std::string>& paths,
                                         const SourceRequest& request);

}  // namespace mcpu
