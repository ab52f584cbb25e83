#pragma once

#include <optional>
#include <string>

#include "daemon/worker/git_handle.hpp"

namespace mcpu {

/// A commit that was chosen, and how it was named.
struct ChosenCommit {
  git_oid id{};
  std::string tag;  ///< the tag it was chosen by; empty: by branch, commit or HEAD
};

/// The highest version tag by semantic version, pre-releases left out. Only tags with at least one
/// dot count: "v2" moves with every release of some projects. Error{kSource} if there is none.
ChosenCommit newest_version(git_repository* repository, const std::string& name);

/// What a person wrote after --to: a tag (with or without its "v"), a branch, the start of a
/// commit. What reads as a version is a tag and nothing else. Error{kNotFound} names the newest
/// versions there are.
ChosenCommit find_commit(git_repository* repository, const std::string& name,
                         const std::string& wanted);

/// What HEAD points to; empty while nothing was committed yet.
std::optional<git_oid> head_commit(git_repository* repository);

/// What `git describe --tags` says of a commit, without the leading "v": "1.3.11",
/// "1.3.11-4-gabcdef0"; empty if no tag leads to it.
std::string describe(git_repository* repository, const git_oid& commit);

}  // namespace mcpu
