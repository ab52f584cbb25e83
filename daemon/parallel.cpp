#include "daemon/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace mcpu {

namespace {

/// The calls still to be made, and the first exception of those that were.
class Calls {
 public:
  Calls(std::size_t count, const std::function<void(std::size_t)>& work)
      : count_(count), work_(work) {}

  void run() noexcept {
    for (std::size_t i = next_++; i < count_; i = next_++) {
      try {
        work_(i);
      } catch (...) {
        stop(std::current_exception());
      }
    }
  }

  void rethrow() const {
    if (first_) std::rethrow_exception(first_);
  }

 private:
  void stop(std::exception_ptr error) {
    next_ = count_;
    const std::lock_guard guard(mutex_);
    if (!first_) first_ = std::move(error);
  }

  const std::size_t count_;
  const std::function<void(std::size_t)>& work_;
  std::atomic<std::size_t> next_{0};
  std::mutex mutex_;
  std::exception_ptr first_;
};

}  // namespace

void parallel_for(std::size_t count, std::size_t threads,
                  const std::function<void(std::size_t)>& work) {
  Calls calls(count, work);
  {
    std::vector<std::jthread> others;
    const std::size_t wanted = std::min(count, threads);
    others.reserve(wanted);
    try {
      while (others.size() + 1 < wanted) others.emplace_back([&calls] { calls.run(); });
    } catch (const std::system_error&) {
      // A limit on threads only makes this slower.
    }
    calls.run();
  }
  calls.rethrow();
}

std::size_t computing_threads() {
  return std::max<std::size_t>(2, std::thread::hardware_concurrency());
}

}  // namespace mcpu
