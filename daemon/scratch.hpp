#pragma once

#include <vector>

#include "daemon/steps.hpp"

namespace mcpu {

/// Removes a job's scratch homes. What is in one is its user's, who may still rearrange it, so that
/// user's worker empties it: root never walks a tree that somebody else can turn into a link. What
/// cannot be removed now is left for the next start: it costs space, nothing else.
void remove_scratch(const Tools& tools, JobId job, const std::vector<ManagedUser>& users);

/// The same for every job, at the daemon's start.
void remove_all_scratch(const Tools& tools);

}  // namespace mcpu
