#pragma once

#include <string>

#include "daemon/steps.hpp"

namespace mcpu {

/// The entry points as the user would run them, with HOME at `home`.
CheckTarget entry_target(const StepContext& context, const std::string& home);

/// Runs checks as `user` until `deadline` from now; Error{kTimeout} when no time is left.
CheckJudge::Run check_runner(std::chrono::seconds deadline, StepContext& context,
                             const ManagedUser& user);

/// Tells and notes what the release changed in a user's real home between two looks at it.
void note_changes(StepContext& context, const ManagedUser& user,
                  const std::vector<FileState>& before, const std::vector<FileState>& after);

/// Makes the job's scratch HOME for a user, with copies of the managed files; returns its path.
std::string make_scratch(StepContext& context, const ManagedUser& user);

}  // namespace mcpu
