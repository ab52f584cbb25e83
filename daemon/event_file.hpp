#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/event_log.hpp"
#include "proto/error.hpp"

namespace mcpu {

/// The event with both texts that go over the wire.
std::shared_ptr<const StoredEvent> make_stored(Event event);

/// The file of one job's events, one JSON object on each line: appending, and mending after a
/// crash. For one thread at a time.
class EventFile {
 public:
  /// Opens the job's file or makes it. A torn tail is cut off. If whole events lie behind damaged
  /// bytes, the file is first set aside, complete, under the name damaged() gives. Throws
  /// Error{kIo}.
  EventFile(FileSystem& fs, const Layout& layout, JobId job);

  /// Number of the last whole event; 0 if there is none.
  std::uint64_t last_number() const { return last_number_; }
  /// Where a damaged file was set aside; empty: it was sound.
  const std::string& damaged() const { return damaged_; }
  std::uint64_t size_bytes() const { return size_bytes_; }

  /// Appends whole lines and syncs. Throws Error{kIo}: after a failed write the same lines may be
  /// tried again, after a failed sync every further append fails, for nobody knows what is on the
  /// disk.
  void append(std::string_view lines);
  /// Goes on in a new, empty file; the full one becomes the rotated one.
  void rotate();

 private:
  void mend();

  FileSystem& fs_;
  std::string path_, rotated_path_;
  JobId job_;
  std::unique_ptr<OutputFile> file_;
  std::uint64_t size_bytes_ = 0;  ///< of what is known to be whole and synced
  std::uint64_t last_number_ = 0;
  std::string damaged_;
  bool unclean_ = false;  ///< bytes of a failed write may lie behind size_bytes_
  std::optional<Error> broken_;
};

/// Reads events of any job back from disk. Readers who come again for the next numbers do not pay
/// for those before: the places where the last reads ended are remembered. Nor does each of a
/// hundred readers pay for what the one before it has just read. All methods may be called from any
/// thread.
class EventReader {
 public:
  EventReader(FileSystem& fs, const Layout& layout) : fs_(fs), layout_(layout) {}

  /// Whole events with numbers from `from` to `to`, at most `limit`, without gaps, up to damage in
  /// the file. In the log of a job that has ended an event log.damaged stands for those that cannot
  /// be read, with the last of their numbers, and those behind follow. Error{kNotFound} if the job
  /// has no log.
  std::vector<std::shared_ptr<const StoredEvent>> read(JobId job, std::uint64_t from,
                                                       std::uint64_t to, std::size_t limit);
  /// Drops what is remembered of a job's file: it was mended or rotated.
  void forget(JobId job);

 private:
  struct Place {
    JobId job;
    std::uint64_t number;
    std::string path;
    std::uint64_t offset;
  };
  using Events = std::vector<std::shared_ptr<const StoredEvent>>;

  Events read_file(JobId job, std::uint64_t from, std::uint64_t to, std::size_t limit);
  Events kept(JobId job, std::uint64_t from, std::uint64_t to, std::size_t limit);
  void keep(JobId job, const Events& events);
  std::optional<Place> remembered(JobId job, std::uint64_t number);
  void remember(Place place);

  FileSystem& fs_;
  Layout layout_;
  std::mutex mutex_;
  std::deque<Place> places_;
  std::deque<std::pair<JobId, Events>> kept_;  ///< the last reads, newest last
};

}  // namespace mcpu
