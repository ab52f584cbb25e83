#pragma once

#include <sys/types.h>

#include <chrono>
#include <span>
#include <vector>

namespace mcpu {

/// The direct children of a process, those of all its threads, zombies included. Empty when it is
/// gone. Reads /proc; any thread.
std::vector<pid_t> children_of(pid_t pid);

/// Everything below a process, parents before their children.
std::vector<pid_t> descendants_of(pid_t pid);

/// Waits until a child of this process has ended, and reaps it. False when it still stands at
/// `deadline` (a process in an uninterruptible system call cannot be killed).
bool reap(pid_t child, std::chrono::steady_clock::time_point deadline);

/// Makes this process the one that its descendants' orphans fall to, instead of init.
void become_subreaper(bool enabled = true);
bool is_subreaper();

/// How long killed processes get until they are gone.
inline constexpr std::chrono::milliseconds kDying{2000};

/// Lets this process's user have so many processes and threads more than at present, those of its
/// other programs included: what forks without end must not take all that the machine has. Root is
/// not bound by that.
void limit_tasks(std::size_t more);

/// Kills and reaps every process below this one, except the children in `keep` and what is below
/// those, until none is left: killing a process hands its children to us, so it takes rounds. A
/// process in a session of its own is found too. False when some still stand at `deadline`.
/// REQUIRES: this process is a subreaper, and no other thread of it forks meanwhile.
bool end_descendants(std::span<const pid_t> keep, std::chrono::steady_clock::time_point deadline);

}  // namespace mcpu
