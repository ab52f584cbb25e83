#pragma once

#include <sys/types.h>

#include <span>
#include <vector>

namespace mcpu {

/// Those of `pids` that are processes of this user, /proc hidden or not: without capabilities, a
/// user may signal its own alone (kill(2)); no signal is sent. For a moment this process has that
/// user's rights and none of root's. Root only; Error{kIo} else. One thread.
std::vector<pid_t> processes_of(uid_t uid, std::span<const pid_t> pids);

}  // namespace mcpu
