#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "daemon/step_timer.hpp"

namespace mcpu {

/// What the service manager hears of the daemon at work: one line of status, and the watchdog's
/// signs of life. Without a service manager it does nothing. On the server's thread: if that hangs,
/// the signs stop.
class Supervision {
 public:
  struct Ports {
    std::function<std::string()> activity;  ///< what the daemon is doing, one line
    /// Calls back on the server's thread after this time.
    std::function<void(std::chrono::milliseconds, std::function<void()>)> after;
    std::function<void(const std::string&)> notify;  ///< a message for the service manager
  };

  Supervision(Ports ports, const StepTimer& timer) : ports_(std::move(ports)), timer_(timer) {}

  /// Begins; with `watchdog` it gives a sign of life at least twice in that time, unless the
  /// running step is overdue by half of it.
  void start(std::optional<std::chrono::milliseconds> watchdog);
  /// Something happened: tells the status if it has changed, and goes on looking while there is
  /// something to do.
  void look();
  /// Something to be told behind what the daemon is doing, until it is empty again.
  void remark(std::string text);

 private:
  void feed();

  Ports ports_;
  const StepTimer& timer_;
  std::chrono::milliseconds interval_{0};
  std::string told_, remark_;
  bool looking_ = false;
};

/// What a daemon without anything to do is doing.
inline constexpr const char* kIdleActivity = "idle";

}  // namespace mcpu
