#pragma once

#include <git2.h>

#include <memory>
#include <string>

#include "proto/error.hpp"

namespace mcpu {

/// Frees a libgit2 object with the function that belongs to its type.
template <auto Free>
struct GitFree {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};

using GitRepository = std::unique_ptr<git_repository, GitFree<git_repository_free>>;
using GitObject = std::unique_ptr<git_object, GitFree<git_object_free>>;
using GitTree = std::unique_ptr<git_tree, GitFree<git_tree_free>>;
using GitEntry = std::unique_ptr<git_tree_entry, GitFree<git_tree_entry_free>>;
using GitReference = std::unique_ptr<git_reference, GitFree<git_reference_free>>;
using GitReferenceIterator =
    std::unique_ptr<git_reference_iterator, GitFree<git_reference_iterator_free>>;
using GitOdb = std::unique_ptr<git_odb, GitFree<git_odb_free>>;
using GitOdbObject = std::unique_ptr<git_odb_object, GitFree<git_odb_object_free>>;
using GitIndex = std::unique_ptr<git_index, GitFree<git_index_free>>;
using GitDiff = std::unique_ptr<git_diff, GitFree<git_diff_free>>;
using GitRemote = std::unique_ptr<git_remote, GitFree<git_remote_free>>;
using GitDescription = std::unique_ptr<git_describe_result, GitFree<git_describe_result_free>>;

/// Starts libgit2 once for the process: no configuration file but a repository's own is ever read,
/// little is cached, and whose repository it is does not matter, because this process has no more
/// rights than whoever asked. Any thread.
void start_git();

/// What to do about a repository in which something is missing, damaged or forged.
inline constexpr const char* kMendRepository =
    "see what 'git fsck' says of that repository, or choose another release with --to";

/// Error{kSource} "cannot ACTION: REASON of libgit2"; context {git_class}.
Error git_error_of(const std::string& action);
/// Throws git_error_of if a call failed.
void git_check(int result, const std::string& action);

/// Opens exactly this directory, without looking further up.
GitRepository open_repository(const std::string& directory);
/// Whether this directory is a repository, bare or not.
bool is_repository(const std::string& directory);

std::string hex_of(const git_oid& id);

}  // namespace mcpu
