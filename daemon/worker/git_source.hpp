#pragma once

#include <memory>
#include <string>

#include "daemon/file_system.hpp"
#include "daemon/worker/git_reference.hpp"
#include "daemon/worker/opened_source.hpp"

namespace mcpu {

/// Opens a work tree with its `.git`: HEAD as committed, with a warning that lists what differs;
/// what `to` names; or with `worktree` the tracked files as they are. Version, commit and listing
/// are filled in. `fs` must outlive the result.
std::unique_ptr<OpenedSource> open_checkout(FileSystem& fs, const std::string& directory,
                                            const SourceRequest& request);

/// Opens a commit of a repository, as chosen by the caller; `name` is how it is called in errors.
std::unique_ptr<OpenedSource> open_chosen(FileSystem& fs, GitRepository repository,
                                          const ChosenCommit& chosen, const std::string& name,
                                          const SourceRequest& request);

/// Opens a repository in place: its newest version, or what `to` names.
std::unique_ptr<OpenedSource> open_local_repository(FileSystem& fs, const std::string& directory,
                                                    const SourceRequest& request);

}  // namespace mcpu
