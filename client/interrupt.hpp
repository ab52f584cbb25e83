#pragma once

#include <csignal>

namespace mcpu {

/// Thrown where somebody pressed Ctrl-C while we waited for the daemon.
struct Interrupted {};

/// Takes SIGINT as something to be polled for instead of the end of the process, so that a person
/// who stops watching can be told that the job goes on. A second Ctrl-C ends the process at once.
/// One instance, on the main thread, before any other thread or process is started.
class Interrupts {
 public:
  Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  ~Interrupts();

  /// Waits until `fd` has one of `events` (poll's), or the time has passed; -1 waits without limit,
  /// `fd` -1 waits for the time alone. Returns whether `fd` is ready. Throws Interrupted.
  bool wait(int fd, short events, int milliseconds) const;

  /// The signal mask that programs we start must get.
  static void reset_in_child();

 private:
  int fd_;
};

}  // namespace mcpu
