#include "daemon/supervision.hpp"

#include <utility>

namespace mcpu {

namespace {

constexpr std::chrono::milliseconds kLookAgain{250};

}  // namespace

void Supervision::start(std::optional<std::chrono::milliseconds> watchdog) {
  look();
  if (!watchdog) return;
  interval_ = *watchdog / 3;
  feed();
}

void Supervision::feed() {
  if (!timer_.overdue(interval_)) ports_.notify("WATCHDOG=1");
  ports_.after(interval_, [this] { feed(); });
}

void Supervision::remark(std::string text) {
  remark_ = std::move(text);
  look();
}

void Supervision::look() {
  std::string now = ports_.activity();
  const bool idle = now == kIdleActivity;
  if (!remark_.empty()) now += "; " + remark_;
  if (now != told_) ports_.notify("STATUS=" + now);
  told_ = std::move(now);
  if (idle || std::exchange(looking_, true)) return;
  ports_.after(kLookAgain, [this] {
    looking_ = false;
    look();
  });
}

}  // namespace mcpu
