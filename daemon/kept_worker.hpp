#pragma once

#include <memory>
#include <utility>

#include "daemon/processes.hpp"

namespace mcpu {

/// One user's worker of a kind, kept from one conversation to the next: each start costs
/// milliseconds. It starts with the first conversation, dies with the thread that started it (which
/// therefore lets it rest()), and ends with this object, and at once when a conversation fails in
/// any way: where it stands is unknown then, and a worker that lied is not asked again. One thread
/// at a time.
class KeptWorker {
 public:
  /// `processes` outlives this.
  KeptWorker(ProcessPort& processes, WorkerKind kind, Identity who)
      : processes_(processes), kind_(kind), who_(std::move(who)) {}

  const Identity& who() const { return who_; }

  /// Starts the worker ahead of need.
  void start() {
    if (!worker_) worker_ = processes_.start(kind_, who_);
  }
  /// Ends the worker until the next conversation.
  void rest() { worker_.reset(); }

  /// What `talk` makes of a conversation over the worker's link.
  template <typename Talk>
  auto converse(Talk talk) {
    try {
      // Its user may have ended it since the last time, and what it says unasked is no answer.
      if (worker_ && !worker_->link().is_quiet()) rest();
      start();
      return talk(worker_->link());
    } catch (...) {
      rest();
      throw;
    }
  }

 private:
  ProcessPort& processes_;
  WorkerKind kind_;
  Identity who_;
  std::unique_ptr<Worker> worker_;
};

}  // namespace mcpu
