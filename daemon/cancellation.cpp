#include "daemon/cancellation.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "proto/error.hpp"

namespace mcpu {

Cancellation::Cancellation() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (fd_ < 0) throw io_error("create", "an event descriptor", errno);
}

Cancellation::~Cancellation() { ::close(fd_); }

void Cancellation::request(const char* why) noexcept {
  const char* none = nullptr;
  if (!why_.compare_exchange_strong(none, why, std::memory_order_acq_rel)) return;
  const std::uint64_t one = 1;
  // Cannot fail: the counter is 0 and the descriptor is ours.
  [[maybe_unused]] const auto written = ::write(fd_, &one, sizeof one);
}

void Cancellation::check() const {
  if (const char* why = why_.load(std::memory_order_acquire)) throw Error(Code::kCancelled, why);
}

}  // namespace mcpu
