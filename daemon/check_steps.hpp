#pragma once

#include <string>

#include "daemon/steps.hpp"

namespace mcpu {

/// The entry points as the user would run them, with HOME at `home`.
CheckTarget entry_target(const StepContext& context, const std::string& home);

/// Runs checks as `user`, from now on until `all` if they can fail the job, else as long as the
/// slowest of `specs` may take; Error{kTimeout} when no time is left. Keeps references.
CheckJudge::Run check_runner(const std::vector<CheckSpec>& specs, Deadline all,
                             StepContext& context, const ManagedUser& user);

/// A user of the plan as events about their checks name them.
CheckedUser checked(const StepContext& context, const ManagedUser& user);

/// A user's managed files as they are now, even where the job was cancelled or ran out of time:
/// what the release changed must be known for the undo.
std::vector<FileState> look_at_home(StepContext& context, const ManagedUser& user);

/// Makes durable, tells and notes what the release changed in a user's real home between two looks
/// at it. Throws what keeps it from being durable, after the notes.
void note_changes(StepContext& context, const ManagedUser& user,
                  const std::vector<FileState>& before, const std::vector<FileState>& after);

/// Makes the job's scratch HOME for a user, with copies of the managed files; returns its path.
std::string make_scratch(StepContext& context, const ManagedUser& user);

/// Fails the job, as a failed check does, when the release changed its own files since
/// `context.marks` was taken: where checks have the rights of the files' owner, it can. To be
/// called when nothing runs from it any more.
void require_untouched(StepContext& context);

}  // namespace mcpu
