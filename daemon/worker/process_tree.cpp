#include "daemon/worker/process_tree.hpp"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <memory>
#include <string>

#include "daemon/unique_fd.hpp"
#include "proto/error.hpp"

namespace mcpu {
namespace {

using Clock = std::chrono::steady_clock;

void append_children(const std::string& thread_directory, std::vector<pid_t>& children) {
  std::ifstream file(thread_directory + "/children");
  for (pid_t child = 0; file >> child;) children.push_back(child);
}

int milliseconds_until(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
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
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (const pid_t child : children_of(all[i])) {
      // Reading /proc is no snapshot: one that was reparented meanwhile may show up twice.
      if (std::find(all.begin(), all.end(), child) == all.end()) all.push_back(child);
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

bool end_descendants(std::span<const pid_t> keep, Clock::time_point deadline) {
  const auto self = ::getpid();
  for (;;) {
    auto children = children_of(self);
    std::erase_if(children, [&](pid_t child) {
      return std::find(keep.begin(), keep.end(), child) != keep.end();
    });
    if (children.empty()) return true;
    for (const pid_t child : children) {
      // From the top down, so that a parent cannot replace the children we have just killed.
      ::kill(child, SIGKILL);
      for (const pid_t below : descendants_of(child)) ::kill(below, SIGKILL);
    }
    for (const pid_t child : children) {
      if (!reap(child, deadline)) return false;
    }
    if (Clock::now() >= deadline) return false;
  }
}

}  // namespace mcpu
