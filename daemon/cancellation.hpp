#pragma once

#include <atomic>

namespace mcpu {

/// Asks a job to stop. Requested from any thread; polled by the job's, which can also wait on
/// `wake_fd()` (readable from the request on) beside whatever else it waits for.
class Cancellation {
 public:
  Cancellation();
  ~Cancellation();
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  /// `why` is what check() says then; a string literal. The first one counts.
  void request(const char* why = "the job was cancelled") noexcept;
  bool requested() const noexcept { return why_.load(std::memory_order_acquire) != nullptr; }
  int wake_fd() const noexcept { return fd_; }
  /// Throws Error{kCancelled} if requested.
  void check() const;

 private:
  std::atomic<const char*> why_{nullptr};  ///< null: not requested
  int fd_;
};

}  // namespace mcpu
