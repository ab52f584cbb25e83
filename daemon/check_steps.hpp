#pragma once

#include <string>

#include "daemon/steps.hpp"

namespace mcpu {

/// The entry points as the user would run them, with HOME at `home`.
CheckTarget entry_target(const StepContext& context, const std::string& home);

/// Runs checks as `user` until `end`; Error{kTimeout} when no time is left. Keeps references.
CheckJudge::Run check_runner(Deadline end, StepContext& context, const ManagedUser& user);

/// Until when this user's checks may take: all there is if they can fail the job, else as long as
/// the slowest of them may.
Deadline checks_end(const ManagedUser& user, const std::vector<CheckSpec>& specs, Deadline all);

/// Tells and notes what the release changed in a user's real home between two looks at it.
void note_changes(StepContext& context, const ManagedUser& user,
                  const std::vector<FileState>& before, const std::vector<FileState>& after);

/// Makes the job's scratch HOME for a user, with copies of the managed files; returns its path.
std::string make_scratch(StepContext& context, const ManagedUser& user);

}  // namespace mcpu
