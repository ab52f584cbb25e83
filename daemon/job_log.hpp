#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "daemon/event_log.hpp"
#include "daemon/notice.hpp"

namespace mcpu {

/// One job's voice: emits its events with the phase it is in. Job thread only, except phase() and
/// percent().
class JobLog {
 public:
  JobLog(EventLog& events, JobId job) : events_(&events), job_(job) {}
  /// A log that only collects, for a dry run.
  JobLog() = default;

  JobId job() const { return job_; }
  /// Begins a phase; a DEBUG event says so.
  void enter(Phase phase);
  Phase phase() const { return phase_.load(); }

  void debug(std::string id, nlohmann::json fields = nlohmann::json::object());
  void info(std::string id, nlohmann::json fields = nlohmann::json::object());
  void success(std::string id, nlohmann::json fields = nlohmann::json::object());
  void warning(std::string id, nlohmann::json fields = nlohmann::json::object());
  void error(std::string id, nlohmann::json fields = nlohmann::json::object());
  void emit(const Notice& notice);
  /// Only the user and root see the fields.
  void emit_about(std::uint32_t uid, Tier tier, std::string id, nlohmann::json fields);
  /// The job's final event. `concerns`: whom alone its fields concern.
  void finish(Tier tier, std::string id, nlohmann::json fields,
              std::optional<std::uint32_t> concerns = {});

  /// Whether the final event was emitted. Any thread.
  bool finished() const { return finished_.load(); }

  /// Says how far staging is: at most five times a second, and at the end.
  void progress(std::size_t done, std::size_t total, std::uint64_t bytes);
  /// Of the present phase, 0 to 100; -1: unknown.
  int percent() const { return percent_.load(); }
  /// Returns when all events so far are durable.
  void flush();
  /// What a collecting log got so far.
  const std::vector<Notice>& collected() const { return collected_; }

 private:
  EventLog* events_ = nullptr;
  JobId job_ = 0;
  std::vector<Notice> collected_;
  std::atomic<Phase> phase_{Phase::kQueue};
  std::atomic<int> percent_{-1};
  std::atomic<bool> finished_{false};
  std::chrono::steady_clock::time_point last_progress_{};
};

}  // namespace mcpu
