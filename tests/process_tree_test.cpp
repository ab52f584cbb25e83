#include "daemon/worker/process_tree.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <thread>

namespace mcpu::process_tree_test {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

steady_clock::time_point soon() { return steady_clock::now() + milliseconds(5000); }

/// A child that does nothing until it is killed.
pid_t sleeper() {
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  return child;
}

/// A shell that has written a byte to `ready` once it has become what `script` says.
pid_t shell(const char* script, int ready) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ready, 1);
    ::execl("/bin/sh", "sh", "-c", script, nullptr);
    ::_exit(127);
  }
  return child;
}

bool alive(pid_t pid) { return ::kill(pid, 0) == 0; }

bool holds(const std::vector<pid_t>& pids, pid_t pid) {
  return std::find(pids.begin(), pids.end(), pid) != pids.end();
}

}  // namespace

TEST_CASE("the children of a process are found, of whichever thread") {
  pid_t child = 0;
  std::thread([&] { child = sleeper(); }).join();
  CHECK(holds(children_of(::getpid()), child));
  ::kill(child, SIGKILL);
  CHECK(reap(child, soon()));
  CHECK_FALSE(holds(children_of(::getpid()), child));
  CHECK(children_of(child).empty());
}

TEST_CASE("a child that does not end is waited for until the deadline") {
  const pid_t child = sleeper();
  CHECK_FALSE(reap(child, steady_clock::now() + milliseconds(10)));
  ::kill(child, SIGKILL);
  CHECK(reap(child, soon()));
  CHECK(reap(child, soon()));
}

TEST_CASE("everything below is ended, in whatever session, and what is kept stays") {
  auto keep = children_of(::getpid());
  keep.push_back(sleeper());
  std::array<int, 2> ready{};
  REQUIRE(::pipe(ready.data()) == 0);
  become_subreaper();
  const pid_t top = shell(
      "trap '' TERM HUP; (setsid sh -c 'setsid sleep 60 & echo x; sleep 60' &); kill -STOP $$",
      ready[1]);
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  CHECK(end_descendants(keep, soon()));
  CHECK_FALSE(alive(top));
  CHECK(alive(keep.back()));
  auto left = children_of(::getpid());
  CHECK(left.size() == keep.size());
  become_subreaper(false);
  ::kill(keep.back(), SIGKILL);
  CHECK(reap(keep.back(), soon()));
  ::close(ready[0]);
  ::close(ready[1]);
}

}  // namespace mcpu::process_tree_test
