#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "daemon/file_system.hpp"
#include "daemon/layout.hpp"
#include "proto/event.hpp"

namespace mcpu {

class EventReader;

/// A stored event with the text that goes over the wire, made once for all watchers.
struct StoredEvent {
  Event event;
  std::string json;          ///< to_json(event).dump()
  std::string json_reduced;  ///< the same without details; equal to json if it concerns everyone
};

/// The log of every job: events are numbered without gaps, written to jobs/N/events.ndjson, synced
/// in groups by a thread of its own, and only then visible to readers. Job 0 is the daemon's own
/// log and is rotated at kDaemonLogBytes. emit() never throws: a log that can't be written
/// remembers the failure for status and goes on in memory, where its events can still be read, so
/// that people see why the job failed; flush() is what fails. A write that failed (a full disk) is
/// tried again with the next event, a sync that failed is not. All methods may be called from any
/// thread.
class EventLog {
 public:
  static constexpr std::uint64_t kDaemonLogBytes = 1 << 20;
  /// Events of an open log kept in memory; older ones are read from disk. A log that can't be
  /// written keeps no more than these either: later ones are dropped, the final one never.
  static constexpr std::size_t kRecentEvents = 2048;

  EventLog(FileSystem& fs, const Layout& layout);
  ~EventLog();  ///< writes what is pending

  /// Opens a job's log for appending: a new job's directory must exist (job 0's is made); after a
  /// crash a torn end is cut off and numbering continues behind the last whole event. Damage in the
  /// middle sets the file aside and is the log's first event. Throws Error{kIo}.
  void open(JobId job);
  /// Adds an event to an open log; returns its number, 0 if the log is not open. `last` makes it
  /// the job's final event.
  std::uint64_t emit(JobId job, Tier tier, Phase phase, std::string id, nlohmann::json fields,
                     std::optional<std::uint32_t> concerns = {}, bool last = false) noexcept;
  /// Returns when everything emitted for the job so far is durable. Throws Error{kIo} if it is not.
  void flush(JobId job);
  /// Forgets a finished job's events in memory once they are on disk, where readers find them. What
  /// could not be written stays readable in memory, for the last few such jobs.
  void close(JobId job);

  /// Durable events of a job with numbers from `from` on, at most `limit`; from memory while the
  /// job is open, else from disk, where events log.damaged stand for those that cannot be read.
  /// Error{kNotFound} if there is no such job.
  std::vector<std::shared_ptr<const StoredEvent>> read(JobId job, std::uint64_t from,
                                                       std::size_t limit);
  /// Where a job's events are stored.
  std::string file(JobId job) const { return layout_.events(job); }
  /// Whether events may still be added to the job's log: until then its final event is to come.
  bool is_open(JobId job) const;
  /// Has the listener called, for readers who wait for something else than an event.
  void wake_readers();
  /// Called after each group became durable (on the writer's thread), after a log was closed and by
  /// wake_readers(). Set before any emit; the listener must not block (the server posts to its own
  /// thread).
  void on_durable(std::function<void()> listener);
  /// Is given each new event, in each job's order, on the writer's thread: once it is durable, or
  /// cannot be made so. Must not call this log. Set before any emit.
  void on_stored(std::function<void(const StoredEvent&)> listener);
  /// Number of syncs so far, for the benchmark.
  std::uint64_t sync_count() const;
  /// Why events cannot be stored at present; empty: all is well.
  std::string failure() const;

 private:
  struct JobLog;
  void write_loop();
  bool has_work() const;
  void save_groups(std::unique_lock<std::mutex>& lock);
  void drop_closed();
  std::shared_ptr<JobLog> find(JobId job) const;

  FileSystem& fs_;
  Layout layout_;
  std::unique_ptr<EventReader> reader_;
  mutable std::mutex mutex_;
  std::condition_variable work_, written_;
  std::map<JobId, std::shared_ptr<JobLog>> logs_;
  std::function<void()> listener_;
  std::function<void(const StoredEvent&)> stored_listener_;
  std::uint64_t syncs_ = 0;
  bool stopping_ = false;
  std::thread writer_;
};

}  // namespace mcpu
