#pragma once

#include "daemon/worker/git_handle.hpp"

namespace mcpu {

/// Whether an error is what libgit2 says of the files of a repository: one that cannot be opened,
/// a reference or an object that cannot be read. Not of what a whole object holds.
bool blames_repository(const Error& error);

/// Reads every reference and every object; throws an Error that blames the repository for the first
/// that cannot be read. Takes as long as reading all of it.
void require_whole(git_repository* repository);

}  // namespace mcpu
