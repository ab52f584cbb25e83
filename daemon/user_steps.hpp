#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <vector>

#include "daemon/steps.hpp"

namespace mcpu {

/// How long somebody's home may take each time it is looked at or written to.
inline constexpr std::chrono::seconds kHomeLimit{10};
/// How many users' homes are worked on at a time.
inline constexpr std::size_t kUsersAtOnce = 16;

/// What came of a step for each user: null where it went well.
using UserFailures = std::vector<std::exception_ptr>;

/// Calls `work(index)` for every user, several at a time, and returns when all have ended, so that
/// a home that hangs costs its own deadline and nobody else's. Only Errors are kept for each user;
/// anything else is thrown here. With one user it stays on this thread, and so does the home's
/// worker; else each home's worker ends with the call.
UserFailures side_by_side(StepContext& context, const std::vector<ManagedUser>& users,
                          const std::function<void(std::size_t)>& work);

/// The same one after the other on this thread, for work that notes in the journal what it does.
UserFailures one_by_one(const std::vector<ManagedUser>& users,
                        const std::function<void(const ManagedUser&)>& work);

/// Throws a cancel, else what the first required user's work failed with, as something that
/// concerns that user. Anybody else's failure is told to that user as a WARNING `id` {user,
/// reason}; the rest of the job neither checks nor touches that home.
void settle_failures(StepContext& context, const std::vector<ManagedUser>& users,
                     const UserFailures& failures, const char* id);

/// Undoes something in every user's home, side by side, even of those that the job has left out
/// since. What cannot be undone in the home of a user who may fail no job is told, and both
/// versions stay with the snapshot; a required user's failure is thrown, as something that
/// concerns that user, and the undo is tried again later.
void undo_in_homes(StepContext& context, const std::function<void(const ManagedUser&)>& work);

}  // namespace mcpu
