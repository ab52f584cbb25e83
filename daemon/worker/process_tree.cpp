#include "daemon/worker/process_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "daemon/unique_fd.hpp"
#include "proto/error.hpp"

namespace mcpu {
namespace {

using Clock = std::chrono::steady_clock;

/// No stream: it would cost a fresh process more than everything else here.
void append_children(const std::string& thread_directory, std::vector<pid_t>& children) {
  const UniqueFd file(::open((thread_directory + "/children").c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> buffer;
  pid_t child = 0;
  for (ssize_t got = 1; file && (got = ::read(file.get(), buffer.data(), buffer.size())) > 0;) {
    for (const char c : std::string_view(buffer.data(), static_cast<std::size_t>(got))) {
      if (c >= '0' && c <= '9') {
        child = child * 10 + (c - '0');
      } else if (child > 0) {
        children.push_back(std::exchange(child, 0));
      }
    }
  }
}

/// Asks the kernel alone; a child that has ended and was not reaped is one.
bool is_childless() {
  siginfo_t ended;
  return ::waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
}

int milliseconds_until(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

/// Kills these processes and all below them. What forks faster than it is killed is stopped first:
/// once every one of them stands still, no new one can come.
void kill_trees(const std::vector<pid_t>& tops, Clock::time_point deadline) {
  std::unordered_set<pid_t> stopped;
  for (bool more = true; more && Clock::now() < deadline;) {
    more = false;
    for (const pid_t top : tops) {
      if (stopped.insert(top).second) ::kill(top, SIGSTOP);
      for (const pid_t below : descendants_of(top)) {
        if (!stopped.insert(below).second) continue;
        ::kill(below, SIGSTOP);
        more = true;
      }
    }
  }
  for (const pid_t one : stopped) ::kill(one, SIGKILL);
}

bool reaped_now(pid_t child) {
  // ECHILD counts: somebody else (SIGCHLD ignored) has reaped it.
  return ::waitpid(child, nullptr, WNOHANG) != 0;
}

}  // namespace

std::vector<pid_t> children_of(pid_t pid) {
  const auto tasks = "/proc/" + std::to_string(pid) + "/task";
  std::vector<pid_t> children;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(tasks.c_str()), ::closedir);
  if (!directory) return children;
  while (const auto* entry = ::readdir(directory.get())) {
    if (entry->d_name[0] != '.') append_children(tasks + "/" + entry->d_name, children);
  }
  return children;
}

std::vector<pid_t> descendants_of(pid_t pid) {
  auto all = children_of(pid);
  // Reading /proc is no snapshot: one that was reparented meanwhile may show up twice.
  std::unordered_set<pid_t> seen(all.begin(), all.end());
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (const pid_t child : children_of(all[i])) {
      if (seen.insert(child).second) all.push_back(child);
    }
  }
  return all;
}

bool reap(pid_t child, Clock::time_point deadline) {
  if (reaped_now(child)) return true;
  const UniqueFd handle(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  for (;;) {
    pollfd ended{handle.get(), POLLIN, 0};
    // Without a handle (out of descriptors) it is polling in the plain sense.
    const int wait_ms = handle ? milliseconds_until(deadline) : 1;
    ::poll(&ended, 1, wait_ms);
    if (reaped_now(child)) return true;
    if (Clock::now() >= deadline) return false;
  }
}

void become_subreaper(bool enabled) {
  if (::prctl(PR_SET_CHILD_SUBREAPER, enabled ? 1UL : 0UL, 0UL, 0UL, 0UL) != 0) {
    throw io_error("become the reaper of", "orphaned processes", errno);
  }
}

bool is_subreaper() {
  int enabled = 0;
  return ::prctl(PR_GET_CHILD_SUBREAPER, &enabled, 0UL, 0UL, 0UL) == 0 && enabled != 0;
}

void limit_tasks(std::size_t more) {
  const std::unique_ptr<DIR, int (*)(DIR*)> processes(::opendir("/proc"), ::closedir);
  std::size_t present = 0;
  for (const dirent* entry = nullptr; processes && (entry = ::readdir(processes.get()));) {
    const std::string tasks = std::string(entry->d_name) + "/task";
    struct stat info {};
    const bool known = ::fstatat(::dirfd(processes.get()), tasks.c_str(), &info, 0) == 0;
    // A directory's links: itself, and one for each thread.
    if (known && info.st_uid == ::geteuid()) present += info.st_nlink;
  }
  rlimit limit{};
  if (::getrlimit(RLIMIT_NPROC, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max = std::min<rlim_t>(limit.rlim_max, present + more);
  ::setrlimit(RLIMIT_NPROC, &limit);
}

bool end_descendants(std::span<const pid_t> keep, Clock::time_point deadline) {
  const auto self = ::getpid();
  for (;;) {
    if (is_childless()) return true;
    auto children = children_of(self);
    std::erase_if(children, [&](pid_t child) {
      return std::find(keep.begin(), keep.end(), child) != keep.end();
    });
    if (children.empty()) return true;
    kill_trees(children, deadline);
    for (const pid_t child : children) {
      if (!reap(child, deadline)) return false;
    }
    if (Clock::now() >= deadline) return false;
  }
}

}  // namespace mcpu
