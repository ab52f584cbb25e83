#pragma once

#include <atomic>
#include <chrono>

namespace mcpu {

/// When the running step should be done, for who watches over the daemon. The job thread sets it,
/// any thread may ask.
class StepTimer {
 public:
  using Clock = std::chrono::steady_clock;

  /// Begins a step that may take so long.
  void begin(std::chrono::seconds deadline) {
    due_ = (Clock::now() + deadline).time_since_epoch().count();
  }
  void end() { due_ = 0; }

  /// Whether the running step should have been done `grace` ago: its own bounds (of its workers
  /// above all) did not work, so it hangs where nothing of ours can end it.
  bool overdue(std::chrono::milliseconds grace) const {
    const Clock::rep due = due_.load();
    return due != 0 && Clock::now() > Clock::time_point(Clock::duration(due)) + grace;
  }

 private:
  std::atomic<Clock::rep> due_{0};  ///< of Clock; 0: no step is running
};

/// Times one step, however it is left. `timer` may be null: nobody watches.
class TimedStep {
 public:
  TimedStep(StepTimer* timer, std::chrono::seconds deadline) : timer_(timer) {
    if (timer_) timer_->begin(deadline);
  }
  ~TimedStep() {
    if (timer_) timer_->end();
  }
  TimedStep(const TimedStep&) = delete;
  TimedStep& operator=(const TimedStep&) = delete;

 private:
  StepTimer* timer_;
};

}  // namespace mcpu
