#pragma once

#include <memory>
#include <string>

#include "daemon/file_system.hpp"
#include "daemon/worker/git_handle.hpp"
#include "daemon/worker/opened_source.hpp"

namespace mcpu {

/// Lists and hashes the tree of a commit as it was committed (no filter is ever run), on several
/// threads. `name` is how the source is called in errors. Submodules, Git LFS pointers and entries
/// that are neither file nor link are Error{kSource} by name. Fills in listing and commit.
/// Digests of blobs are kept in the cache of the source.
std::unique_ptr<OpenedSource> open_commit(FileSystem& fs, GitRepository repository,
                                          const git_oid& commit, const std::string& name,
                                          const SourceRequest& request);

/// The directory below the cache directory that belongs to one source, by its name.
std::string cache_of(const std::string& name, const SourceRequest& request);

}  // namespace mcpu
