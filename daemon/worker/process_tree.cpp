#include "daemon/worker/process_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
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
    if (is_childless()) return true;
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
