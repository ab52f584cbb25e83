#include "daemon/event_file.hpp"

#include <algorithm>
#include <utility>

#include "daemon/durable.hpp"
#include "proto/message_catalogue.hpp"

namespace mcpu {

namespace {

constexpr std::size_t kChunkBytes = 64 * 1024;
constexpr std::size_t kLineBytes = 8 << 20;
/// How much of a long file is looked at when it is opened: more than any group that one crash can
/// tear.
constexpr std::uint64_t kTailBytes = 1 << 20;
constexpr std::size_t kPlaces = 256;
/// Enough for readers who are at about the same place; 1,000 events at most.
constexpr std::size_t kKeptReads = 16;

/// Gives the whole lines of a file, one after the other, reading it piece by piece.
class LineReader {
 public:
  LineReader(const InputFile& file, std::uint64_t offset) : file_(file), offset_(offset) {}

  /// The next line without its newline; empty at the end, an unfinished line included. The view is
  /// good until the next call.
  std::optional<std::string_view> next() {
    for (std::size_t end; (end = buffer_.find('\n', begin_)) == std::string::npos;) {
      if (buffer_.size() - begin_ > kLineBytes || !fill()) return std::nullopt;
    }
    const std::size_t end = buffer_.find('\n', begin_);
    const std::string_view line = std::string_view(buffer_).substr(begin_, end - begin_);
    begin_ = end + 1;
    return line;
  }
  /// Offset in the file of what next() will look at.
  std::uint64_t offset() const { return offset_ + begin_; }
  void seek(std::uint64_t offset) {
    offset_ = offset;
    begin_ = 0;
    buffer_.clear();
  }

 private:
  bool fill() {
    offset_ += begin_;
    buffer_.erase(0, begin_);
    begin_ = 0;
    const std::size_t had = buffer_.size();
    buffer_.resize(had + kChunkBytes);
    const std::size_t got = file_.read_at(offset_ + had, buffer_.data() + had, kChunkBytes);
    buffer_.resize(had + got);
    return got > 0;
  }

  const InputFile& file_;
  std::uint64_t offset_;  ///< of the buffer's first byte
  std::string buffer_;
  std::size_t begin_ = 0;
};

std::optional<Event> parse_line(std::string_view line, JobId job) {
  const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
  if (json.is_discarded()) return std::nullopt;
  try {
    Event event = event_from_json(json);
    if (event.job == job && event.number > 0) return event;
  } catch (const Error&) {
    // Not one of our lines: the caller decides what that means.
  }
  return std::nullopt;
}

/// An event read back, with its line as its text: nothing is made a second time.
std::shared_ptr<const StoredEvent> stored_line(Event event, std::string_view line) {
  auto stored = std::make_shared<StoredEvent>();
  stored->json = line;
  stored->json_reduced = event.concerns ? to_json(without_details(event)).dump() : stored->json;
  stored->event = std::move(event);
  return stored;
}

/// What is sound in a file: whole events without gaps from the first line looked at.
struct Soundness {
  std::uint64_t end_offset = 0;
  std::uint64_t last_number = 0;
  bool events_behind_damage = false;
};

Soundness examine(const InputFile& file, JobId job) {
  const std::uint64_t size_bytes = file.info().size_bytes;
  LineReader lines(file, size_bytes > kTailBytes ? size_bytes - kTailBytes : 0);
  if (size_bytes > kTailBytes) lines.next();
  Soundness sound;
  sound.end_offset = lines.offset();
  bool damage = false;
  while (const auto line = lines.next()) {
    const std::optional<Event> event = parse_line(*line, job);
    const bool follows =
        event && (sound.last_number == 0 || event->number == sound.last_number + 1);
    damage = damage || !follows;
    if (damage) {
      sound.events_behind_damage = sound.events_behind_damage || event.has_value();
    } else {
      sound.last_number = event->number;
      sound.end_offset = lines.offset();
    }
  }
  return sound;
}

std::string rotated_name(const Layout& layout, JobId job) {
  return layout.job(job) + "/events.1.ndjson";
}

std::uint64_t last_in_file(FileSystem& fs, const std::string& path, JobId job) {
  return fs.info(path) ? examine(*fs.open(path), job).last_number : 0;
}

}  // namespace

std::shared_ptr<const StoredEvent> make_stored(Event event) {
  auto stored = std::make_shared<StoredEvent>();
  const auto text_of = [](const Event& each) {
    return to_json(each).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  };
  stored->json = text_of(event);
  stored->json_reduced = event.concerns ? text_of(without_details(event)) : stored->json;
  stored->event = std::move(event);
  return stored;
}

EventFile::EventFile(FileSystem& fs, const Layout& layout, JobId job)
    : fs_(fs), path_(layout.events(job)), rotated_path_(rotated_name(layout, job)), job_(job) {
  if (fs_.info(path_)) {
    mend();
  } else {
    file_ = fs_.create(path_, 0600);
    fs_.sync_directory(parent_path(path_));
  }
  if (last_number_ == 0 && job_ == 0) last_number_ = last_in_file(fs_, rotated_path_, job_);
}

void EventFile::mend() {
  const auto stored = fs_.open(path_);
  const Soundness sound = examine(*stored, job_);
  last_number_ = sound.last_number;
  size_bytes_ = sound.end_offset;
  if (sound.events_behind_damage) {
    std::string whole(size_bytes_, '\0');
    stored->read_at(0, whole.data(), whole.size());
    const std::string aside =
        path_ + ".corrupt-" + std::to_string(now().time_since_epoch().count());
    fs_.hard_link(path_, aside);
    write_durably(fs_, path_, whole, 0600);
    damaged_ = aside;
  }
  file_ = fs_.open_output(path_);
  if (damaged_.empty() && stored->info().size_bytes > size_bytes_) {
    file_->truncate(size_bytes_);
    file_->sync();
  }
}

void EventFile::append(std::string_view lines) {
  if (broken_) throw *broken_;
  if (unclean_) file_->truncate(size_bytes_);
  unclean_ = true;
  file_->write_at(size_bytes_, lines);
  try {
    file_->sync();
  } catch (const Error& error) {
    broken_ = error;
    throw;
  }
  unclean_ = false;
  size_bytes_ += lines.size();
}

void EventFile::rotate() {
  if (broken_) return;
  try {
    fs_.rename(path_, rotated_path_);
    file_ = fs_.create(path_, 0600);
    size_bytes_ = 0;
    fs_.sync_directory(parent_path(path_));
  } catch (const Error& error) {
    broken_ = error;
    throw;
  }
}

std::optional<EventReader::Place> EventReader::remembered(JobId job, std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(places_.begin(), places_.end(), [&](const Place& place) {
    return place.job == job && place.number == number;
  });
  return found == places_.end() ? std::nullopt : std::optional(*found);
}

void EventReader::remember(Place place) {
  const std::lock_guard lock(mutex_);
  std::erase_if(places_, [&](const Place& each) {
    return each.job == place.job && each.number == place.number;
  });
  places_.push_back(std::move(place));
  if (places_.size() > kPlaces) places_.pop_front();
}

void EventReader::forget(JobId job) {
  const std::lock_guard lock(mutex_);
  std::erase_if(places_, [&](const Place& each) { return each.job == job; });
  std::erase_if(kept_, [&](const auto& each) { return each.first == job; });
}

namespace {

using Events = std::vector<std::shared_ptr<const StoredEvent>>;

/// Stands for events that cannot be read, with the last of their numbers.
std::shared_ptr<const StoredEvent> lost_events(std::uint64_t first, const Event& behind,
                                               const std::string& path) {
  const std::uint64_t last = behind.number - 1;
  const std::string one = "event " + std::to_string(last);
  const std::string several = "events " + std::to_string(first) + " to " + std::to_string(last);
  Event event{behind.job, last, behind.time, Tier::kWarning, behind.phase, "log.damaged",
              {},         "",   {},          false};
  event.fields = {{"what", first == last ? one : several},
                  {"first", first},
                  {"last", last},
                  {"file", escape_path(path)}};
  event.text = to_utf8(render_message(event.id, event.fields));
  return make_stored(std::move(event));
}

/// Where a log goes on behind damaged bytes.
struct Resumption {
  Event event;
  std::uint64_t offset = 0;  ///< of its line
};

/// Reads the events of one file with numbers from `from` to `to`.
class Reading {
 public:
  Reading(FileSystem& fs, std::string path, JobId job, std::uint64_t from, std::uint64_t to)
      : file_(fs.open(path)), path_(std::move(path)), job_(job), from_(from), to_(to) {}

  /// Reads on from an offset, where event `expected` (0: any) should begin, until there are `limit`
  /// events, and returns where it stopped.
  std::uint64_t read(std::uint64_t offset, std::uint64_t expected, std::size_t limit,
                     Events& events) const;

 private:
  /// The offset of the first event that is wanted, where no damage lies before it: numbers have no
  /// gaps, so lines are only counted.
  std::optional<std::uint64_t> counted(std::uint64_t offset) const;
  /// The next whole event, if the log is complete: else it may be mended and written on, and
  /// numbers behind the damage will be those of other events.
  std::optional<Resumption> behind_damage(std::uint64_t offset, std::uint64_t expected) const;

  std::unique_ptr<InputFile> file_;
  std::string path_;
  JobId job_;
  std::uint64_t from_, to_;
};

std::optional<std::uint64_t> Reading::counted(std::uint64_t offset) const {
  LineReader lines(*file_, offset);
  auto line = lines.next();
  const auto first = line ? parse_line(*line, job_) : std::nullopt;
  if (!first) return std::nullopt;
  for (std::uint64_t number = first->number; line && number < from_; ++number) {
    offset = lines.offset();
    line = lines.next();
  }
  const auto event = line ? parse_line(*line, job_) : std::nullopt;
  return event && event->number == from_ ? std::optional(offset) : std::nullopt;
}

std::optional<Resumption> Reading::behind_damage(std::uint64_t offset,
                                                 std::uint64_t expected) const {
  LineReader lines(*file_, offset);
  std::optional<Resumption> found;
  for (;;) {
    offset = lines.offset();
    const auto line = lines.next();
    if (!line) return std::nullopt;
    const auto event = parse_line(*line, job_);
    if (!event || event->number < expected) continue;
    if (!found || event->number < found->event.number) found = {*event, offset};
    if (event->last) return found;
  }
}

std::uint64_t Reading::read(std::uint64_t offset, std::uint64_t expected, std::size_t limit,
                            Events& events) const {
  if (expected < from_) {
    if (const auto place = counted(offset)) {
      offset = *place;
      expected = from_;
    }
  }
  LineReader lines(*file_, offset);
  while (events.size() < limit) {
    offset = lines.offset();
    const auto line = lines.next();
    if (!line) return offset;
    std::optional<Event> event = parse_line(*line, job_);
    if (event && event->number > to_) return offset;
    if (!event || (expected != 0 && event->number != expected)) {
      const auto behind = behind_damage(offset, expected);
      if (!behind) return offset;
      const std::uint64_t next = behind->event.number;
      if (next > expected && next > from_) {
        events.push_back(lost_events(expected, behind->event, path_));
      }
      lines.seek(behind->offset);
      expected = next;
      continue;
    }
    expected = event->number + 1;
    if (event->number >= from_) events.push_back(stored_line(std::move(*event), *line));
  }
  return lines.offset();
}

}  // namespace

std::vector<std::shared_ptr<const StoredEvent>> EventReader::read(JobId job, std::uint64_t from,
                                                                  std::uint64_t to,
                                                                  std::size_t limit) {
  Events events = kept(job, from, to, limit);
  if (!events.empty()) return events;
  events = read_file(job, from, to, limit);
  keep(job, events);
  return events;
}

/// What one of the last reads holds from this number on.
EventReader::Events EventReader::kept(JobId job, std::uint64_t from, std::uint64_t to,
                                      std::size_t limit) {
  Events events;
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const auto& each) {
    return each.first == job && each.second.front()->event.number <= from &&
           each.second.back()->event.number >= from;
  });
  if (found == kept_.end()) return events;
  for (const auto& one : found->second) {
    const std::uint64_t number = one->event.number;
    if (number >= from && number <= to && events.size() < limit) events.push_back(one);
  }
  return events;
}

void EventReader::keep(JobId job, const Events& events) {
  if (events.empty()) return;
  const std::lock_guard lock(mutex_);
  kept_.emplace_back(job, events);
  if (kept_.size() > kKeptReads) kept_.pop_front();
}

EventReader::Events EventReader::read_file(JobId job, std::uint64_t from, std::uint64_t to,
                                           std::size_t limit) {
  Events events;
  if (const auto place = remembered(job, from); place && fs_.info(place->path)) {
    const std::uint64_t end =
        Reading(fs_, place->path, job, from, to).read(place->offset, from, limit, events);
    if (!events.empty()) remember({job, events.back()->event.number + 1, place->path, end});
    // The daemon's own log may have been rotated: then the next events are in another file.
    if (job != 0 || (!events.empty() && events.front()->event.number == from)) return events;
    events.clear();
  }
  std::vector<std::string> paths{layout_.events(job)};
  if (job == 0) paths.insert(paths.begin(), rotated_name(layout_, job));
  bool found = false;
  for (const std::string& path : paths) {
    if (events.size() >= limit || !fs_.info(path)) continue;
    found = true;
    // The daemon's own log begins where the rotated ones end.
    const std::uint64_t expected = job != 0         ? 1
                                   : events.empty() ? 0
                                                    : events.back()->event.number + 1;
    const std::uint64_t end = Reading(fs_, path, job, from, to).read(0, expected, limit, events);
    if (!events.empty()) remember({job, events.back()->event.number + 1, path, end});
  }
  if (!found && job != 0) {
    const std::string what = "job " + std::to_string(job);
    throw Error(Code::kNotFound, "there is no log of " + what + ": see 'mcpctl jobs'",
                {{"what", what}});
  }
  return events;
}

}  // namespace mcpu
