#include "client/interrupt.hpp"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

#include "proto/error.hpp"

namespace mcpu {

namespace {

sigset_t interrupt_set() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

Interrupts::Interrupts() {
  const sigset_t set = interrupt_set();
  sigprocmask(SIG_BLOCK, &set, nullptr);
  fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd_ < 0) throw io_error("create", "signalfd", errno);
}

Interrupts::~Interrupts() {
  ::close(fd_);
  const sigset_t set = interrupt_set();
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

bool Interrupts::wait(int fd, short events, int milliseconds) const {
  pollfd waited[2] = {{fd_, POLLIN, 0}, {fd, events, 0}};
  const int ready = ::poll(waited, fd < 0 ? 1 : 2, milliseconds);
  if (ready < 0 && errno != EINTR) throw io_error("wait for", "the daemon", errno);
  if (ready <= 0) return false;
  if (waited[0].revents != 0) {
    signalfd_siginfo taken;
    while (::read(fd_, &taken, sizeof taken) > 0) {
    }
    reset_in_child();  // the next one ends us at once
    throw Interrupted{};
  }
  return waited[1].revents != 0;
}

void Interrupts::reset_in_child() {
  const sigset_t set = interrupt_set();
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace mcpu
