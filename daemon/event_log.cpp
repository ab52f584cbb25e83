#include "daemon/event_log.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "daemon/durable.hpp"
#include "daemon/event_file.hpp"
#include "proto/message_catalogue.hpp"

namespace mcpu {

namespace {

/// How long the first event of a group waits for others, unless somebody waits for it: nobody sees
/// the difference, and a job of hundreds of events costs a few syncs.
constexpr std::chrono::milliseconds kGather{4};
/// Events handed over and not yet written, beyond which emit() waits for the writer.
constexpr std::size_t kPendingEvents = 2048;
constexpr std::size_t kClosedFailures = 4;

}  // namespace

/// One open log. From `file` to `outcome` is the writer's alone, the rest the mutex's.
struct EventLog::JobLog {
  JobLog(FileSystem& fs, const Layout& layout, JobId number) : job(number), file(fs, layout, job) {
    emitted = visible = durable = attempted = file.last_number();
  }

  bool has_work() const { return !pending.empty() || (wanted && durable < emitted); }
  /// The writer's part: makes events of what was emitted and appends them to the file.
  void write(std::vector<Event> events);
  /// Takes over what write() made. `lock` is held.
  void publish();

  const JobId job;
  EventFile file;
  std::vector<std::shared_ptr<const StoredEvent>> fresh;  ///< made in this round
  std::string unsaved;                                    ///< lines not on disk yet
  std::uint64_t unsaved_last = 0;                         ///< number of the last of them
  std::optional<Error> outcome;                           ///< of this round

  std::vector<Event> pending;
  std::deque<std::shared_ptr<const StoredEvent>> recent;  ///< visible, newest last
  std::uint64_t emitted = 0, visible = 0, durable = 0, attempted = 0;
  bool wanted = false;  ///< somebody waits: no gathering, and a failed write is tried again
  bool closed = false;
  std::optional<Error> error;
};

void EventLog::JobLog::write(std::vector<Event> events) {
  fresh.clear();
  for (Event& event : events) {
    event.text = to_utf8(render_message(event.id, event.fields));
    fresh.push_back(make_stored(std::move(event)));
    unsaved += fresh.back()->json + "\n";
    unsaved_last = fresh.back()->event.number;
  }
  outcome.reset();
  if (unsaved.empty()) return;
  try {
    file.append(unsaved);
    unsaved.clear();
    if (job == 0 && file.size_bytes() >= kDaemonLogBytes) file.rotate();
  } catch (const Error& failure) {
    outcome = failure;
  }
}

void EventLog::JobLog::publish() {
  error = outcome;
  attempted = std::max(attempted, unsaved_last);
  if (unsaved.empty()) durable = attempted;
  recent.insert(recent.end(), fresh.begin(), fresh.end());
  if (!recent.empty()) visible = recent.back()->event.number;
  while (recent.size() > kRecentEvents && recent.front()->event.number <= durable) {
    recent.pop_front();
  }
}

EventLog::EventLog(FileSystem& fs, const Layout& layout)
    : fs_(fs), layout_(layout), reader_(std::make_unique<EventReader>(fs, layout)) {
  writer_ = std::thread([this] { write_loop(); });
}

EventLog::~EventLog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  writer_.join();
}

std::shared_ptr<EventLog::JobLog> EventLog::find(JobId job) const {
  const auto found = logs_.find(job);
  return found == logs_.end() ? nullptr : found->second;
}

void EventLog::open(JobId job) {
  {
    std::unique_lock lock(mutex_);
    const auto log = find(job);
    if (log && !log->closed) return;
    // One that was closed a moment ago is still being written: what follows comes behind that.
    if (log) written_.wait(lock, [&] { return log->attempted >= log->emitted; });
  }
  if (job == 0) make_directories(fs_, layout_.job(0), 0700);
  auto log = std::make_shared<JobLog>(fs_, layout_, job);
  reader_->forget(job);
  const std::string damaged = log->file.damaged();
  {
    const std::lock_guard lock(mutex_);
    logs_[job] = std::move(log);
  }
  if (damaged.empty()) return;
  emit(job, Tier::kWarning, Phase::kRecovery, "state.damaged",
       {{"file", escape_path(layout_.events(job))}, {"aside", escape_path(damaged)}});
}

std::uint64_t EventLog::emit(JobId job, Tier tier, Phase phase, std::string id,
                             nlohmann::json fields, std::optional<std::uint32_t> concerns,
                             bool last) noexcept {
  try {
    Event event{job, 0, {}, tier, phase, std::move(id), std::move(fields), "", concerns, last};
    if (!event.fields.is_object()) event.fields = nlohmann::json::object();
    std::unique_lock lock(mutex_);
    const auto log = find(job);
    if (!log || log->closed) return 0;
    written_.wait(lock, [&] { return log->pending.size() < kPendingEvents; });
    if (log->error && log->emitted - log->durable >= kRecentEvents && !last) return log->emitted;
    event.number = ++log->emitted;
    event.time = now();
    log->pending.push_back(std::move(event));
    log->wanted = log->wanted || last;
    // The first wakes the writer, the others join its group.
    if (log->pending.size() == 1 || last || log->pending.size() == kPendingEvents) {
      work_.notify_one();
    }
    return log->emitted;
  } catch (...) {
    return 0;  // Out of memory: a line of log less, not a job less.
  }
}

void EventLog::flush(JobId job) {
  std::unique_lock lock(mutex_);
  const auto log = find(job);
  if (!log) return;
  const std::uint64_t target = log->emitted;
  if (log->durable >= target) return;
  if (log->pending.empty() && log->attempted >= target) log->attempted = target - 1;
  log->wanted = true;
  work_.notify_one();
  written_.wait(lock, [&] { return log->attempted >= target; });
  if (log->durable < target) {
    throw log->error.value_or(io_error("store the events in", layout_.events(job), EIO));
  }
}

void EventLog::close(JobId job) {
  {
    const std::lock_guard lock(mutex_);
    const auto log = find(job);
    if (!log) return;
    log->closed = true;
    log->wanted = true;
    work_.notify_one();
    drop_closed();
  }
  // Who has read everything there is waits for the log's end, not only for further events.
  wake_readers();
}

void EventLog::wake_readers() {
  std::function<void()> listener;
  {
    const std::lock_guard lock(mutex_);
    listener = listener_;
  }
  if (listener) listener();
}

/// Lets go of closed logs that are all on disk, and of the oldest of those that never will be.
void EventLog::drop_closed() {
  std::erase_if(logs_, [](const auto& entry) {
    return entry.second->closed && entry.second->durable >= entry.second->emitted;
  });
  const auto failed = [](const auto& entry) { return entry.second->closed && entry.second->error; };
  while (std::count_if(logs_.begin(), logs_.end(), failed) >
         static_cast<std::ptrdiff_t>(kClosedFailures)) {
    logs_.erase(std::find_if(logs_.begin(), logs_.end(), failed));
  }
}

std::vector<std::shared_ptr<const StoredEvent>> EventLog::read(JobId job, std::uint64_t from,
                                                               std::size_t limit) {
  from = std::max<std::uint64_t>(from, 1);
  std::uint64_t to = UINT64_MAX;
  {
    const std::lock_guard lock(mutex_);
    if (const auto log = find(job)) {
      if (from > log->visible) return {};
      if (!log->recent.empty() && from >= log->recent.front()->event.number) {
        const auto begin = log->recent.begin() +
                           static_cast<std::ptrdiff_t>(from - log->recent.front()->event.number);
        const auto count =
            std::min<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(limit), log->recent.end() - begin);
        return {begin, begin + count};
      }
      to = log->durable;
    }
  }
  return reader_->read(job, from, to, limit);
}

bool EventLog::is_open(JobId job) const {
  const std::lock_guard lock(mutex_);
  const auto log = find(job);
  return log && !log->closed;
}

void EventLog::on_durable(std::function<void()> listener) {
  const std::lock_guard lock(mutex_);
  listener_ = std::move(listener);
}

void EventLog::on_stored(std::function<void(const StoredEvent&)> listener) {
  const std::lock_guard lock(mutex_);
  stored_listener_ = std::move(listener);
}

std::uint64_t EventLog::sync_count() const {
  const std::lock_guard lock(mutex_);
  return syncs_;
}

std::string EventLog::failure() const {
  const std::lock_guard lock(mutex_);
  for (const auto& [job, log] : logs_) {
    if (log->error && !log->closed) return log->error->what();
  }
  return "";
}

bool EventLog::has_work() const {
  return std::any_of(logs_.begin(), logs_.end(),
                     [](const auto& entry) { return entry.second->has_work(); });
}

void EventLog::write_loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [&] { return stopping_ || has_work(); });
    if (!has_work()) return;
    work_.wait_for(lock, kGather, [&] {
      return stopping_ || std::any_of(logs_.begin(), logs_.end(), [](const auto& entry) {
               return entry.second->wanted || entry.second->pending.size() >= kPendingEvents;
             });
    });
    save_groups(lock);
    if (const auto listener = listener_) {
      lock.unlock();
      listener();
      lock.lock();
    }
  }
}

void EventLog::save_groups(std::unique_lock<std::mutex>& lock) {
  std::vector<std::pair<std::shared_ptr<JobLog>, std::vector<Event>>> groups;
  for (const auto& [job, log] : logs_) {
    if (!log->has_work()) continue;
    groups.emplace_back(log, std::exchange(log->pending, {}));
    log->wanted = false;
  }
  written_.notify_all();
  lock.unlock();
  for (auto& [log, events] : groups) log->write(std::move(events));
  lock.lock();
  for (auto& [log, events] : groups) {
    log->publish();
    ++syncs_;
  }
  drop_closed();
  written_.notify_all();
  if (!stored_listener_) return;
  const auto listener = stored_listener_;
  lock.unlock();
  for (const auto& [log, events] : groups) {
    for (const auto& event : log->fresh) listener(*event);
  }
  lock.lock();
}

}  // namespace mcpu
