#include "daemon/job_queue.hpp"

#include <algorithm>
#include <future>

#include "proto/error.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

constexpr std::chrono::minutes kRecoveryInterval{1};

bool asks_for(const QueuedJob& job, const JobRequest& request) {
  if (!job.log) return false;
  const bool same_id = request.request_id && job.record.request.request_id == request.request_id;
  // A job that has ended, but for its tidying, says nothing about the source as it is now.
  const bool open = !job.cancellation.requested() && !job.log->finished();
  return same_id || (open && same_work(job.record.request, request));
}

}  // namespace

std::string busy_text(const json& busy) {
  if (busy.at("job") == 0)
    return "the daemon is busy with its " + busy.at("phase").get<std::string>();
  return "job " + std::to_string(busy.at("job").get<JobId>()) + " of " +
         busy.at("owner").get<std::string>() + " has the turn (phase " +
         busy.at("phase").get<std::string>() + ")";
}

JobQueue::~JobQueue() { stop(); }

void JobQueue::start() {
  thread_ = std::thread([this] { loop(); });
}

void JobQueue::stop() {
  std::deque<std::shared_ptr<QueuedJob>> dropped;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(waiting_);
    if (running_) running_->cancellation.request("the daemon was stopped");
  }
  changed_.notify_all();
  for (const auto& job : dropped) {
    job->cancellation.request();
    if (job->work) job->work();
    if (job->log) {
      actions_.drop(*job, {Outcome::kCancelled, "the daemon was stopped before its turn came", {}});
    }
  }
  if (thread_.joinable()) thread_.join();
}

std::optional<JobQueue::Place> JobQueue::same(const JobRequest& request) const {
  const std::lock_guard lock(mutex_);
  if (running_ && asks_for(*running_, request)) return Place{running_->record.id, 0};
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    if (asks_for(*waiting_[i], request)) return Place{waiting_[i]->record.id, i + 1};
  }
  return std::nullopt;
}

JobQueue::Place JobQueue::add(const std::function<std::unique_ptr<QueuedJob>()>& make,
                              bool no_wait) {
  Place place;
  {
    const std::lock_guard lock(mutex_);
    const bool busy = running_ || recovering_ || !waiting_.empty();
    if (busy && no_wait) {
      const json holder = busy_locked();
      throw Error(Code::kBusy, busy_text(holder) + ": try again, or leave out --no-wait", holder);
    }
    if (stopping_) throw Error(Code::kRefused, "the daemon is stopping: try again");
    waiting_.push_back(make());
    // What keeps a recovery pending may be gone: nobody is to wait for its next time.
    retry_ = recovering_;
    place = {waiting_.back()->record.id, busy ? waiting_.size() : 0};
  }
  changed_.notify_all();
  return place;
}

void JobQueue::run_in_turn(std::chrono::seconds wait,
                           const std::function<void(const Cancellation&)>& work) {
  // Shared, because the job thread may touch it a moment longer than this call lasts.
  struct Turn {
    std::promise<void> ended;
    std::exception_ptr failure;
  };
  auto turn = std::make_shared<Turn>();
  auto job = std::make_shared<QueuedJob>();
  job->work = [turn, &work, raw = job.get()] {
    try {
      raw->cancellation.check();
      work(raw->cancellation);
    } catch (...) {
      turn->failure = std::current_exception();
    }
    turn->ended.set_value();
  };
  auto ended = turn->ended.get_future();
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) throw Error(Code::kRefused, "the daemon is stopping: try again");
    waiting_.push_back(job);
  }
  changed_.notify_all();
  if (ended.wait_for(wait) != std::future_status::ready) {
    const std::lock_guard lock(mutex_);
    if (std::erase(waiting_, job) > 0) {
      const json busy = busy_locked();
      throw Error(Code::kBusy, busy_text(busy) + ", and the waiting time is over", busy);
    }
  }
  ended.wait();
  // Moved: an exception ends with the thread that handles it.
  if (auto failure = std::move(turn->failure)) std::rethrow_exception(std::move(failure));
}

std::string JobQueue::cancel(JobId& job) {
  {
    const std::lock_guard lock(mutex_);
    if (running_ && running_->log && (job == 0 || running_->record.id == job)) {
      job = running_->record.id;
      if (running_->committed) return "committed";
      running_->cancellation.request();
      return "cancelling";
    }
    if (job == 0 && !waiting_.empty() && waiting_.front()->log) job = waiting_.front()->record.id;
  }
  if (job != 0 && remove_waiting(job, {Outcome::kCancelled, "cancelled before its turn", {}})) {
    return "cancelled";
  }
  throw Error(Code::kNotFound,
              job == 0 ? "no job is running" : "job " + std::to_string(job) + " is not running",
              {{"what", job == 0 ? "running job" : "job " + std::to_string(job)}});
}

void JobQueue::expire(JobId job) {
  remove_waiting(job, {Outcome::kExpired, "gave up waiting for its turn", {}});
}

bool JobQueue::remove_waiting(JobId id, const JobResult& result) {
  std::shared_ptr<QueuedJob> job;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find_if(
        waiting_, [&](const auto& one) { return one->log && one->record.id == id; });
    if (found == waiting_.end()) return false;
    job = *found;
    waiting_.erase(found);
  }
  actions_.drop(*job, result);
  return true;
}

void JobQueue::retry_recovery(std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  if (!recovering_) return;
  retry_ = true;
  changed_.notify_all();
  // One that is under way may have met what is mended by now.
  const std::uint64_t next = attempts_begun_ + 1;
  changed_.wait_for(lock, wait,
                    [&] { return stopping_ || !recovering_ || attempts_ended_ >= next; });
}

void JobQueue::mark_committed() {
  const std::lock_guard lock(mutex_);
  // A cancel that came in before this moment still wins: the runner looks once more after this.
  if (running_ && !running_->cancellation.requested()) running_->committed = true;
}

bool JobQueue::has(JobId job) const {
  const std::lock_guard lock(mutex_);
  return (running_ && running_->record.id == job) ||
         std::ranges::any_of(waiting_, [&](const auto& one) { return one->record.id == job; });
}

QueueView JobQueue::view() const {
  const std::lock_guard lock(mutex_);
  QueueView view;
  view.recovering = recovering_;
  if (running_ && running_->log) {
    view.running = running_->record;
    view.phase = running_->log->phase();
    view.percent = running_->log->percent();
  }
  for (const auto& job : waiting_) {
    if (job->log) view.waiting.push_back(job->record);
  }
  return view;
}

bool JobQueue::idle() const {
  const std::lock_guard lock(mutex_);
  return !running_ && !recovering_ && waiting_.empty();
}

json JobQueue::busy() const {
  const std::lock_guard lock(mutex_);
  return busy_locked();
}

json JobQueue::busy_locked() const {
  const QueuedJob* first = running_ && running_->log ? running_.get()
                           : !waiting_.empty()       ? waiting_.front().get()
                                                     : nullptr;
  if (!first || !first->log) {
    return {{"job", 0},
            {"owner", "mcp-upgraded"},
            {"phase", recovering_ ? "recovery" : "queue"},
            {"since", format_time(now())}};
  }
  return {{"job", first->record.id},
          {"owner", first->record.by},
          {"phase", phase_name(first->log->phase())},
          {"since", format_time(first->record.started_at.value_or(first->record.queued_at))}};
}

void JobQueue::loop() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (recovering_) {
      retry_ = false;
      ++attempts_begun_;
      lock.unlock();
      const bool recovered = actions_.recover();
      lock.lock();
      recovering_ = !recovered;
      ++attempts_ended_;
      changed_.notify_all();
      if (!recovered) {
        changed_.wait_for(lock, kRecoveryInterval, [&] { return stopping_ || retry_; });
      }
      continue;
    }
    const auto job = take_next(lock);
    if (!job) continue;
    lock.unlock();
    if (job->work) {
      job->work();
    } else {
      actions_.run(*job);
    }
    const bool again = actions_.needs_recovery();
    lock.lock();
    recovering_ = again;
    running_.reset();
  }
}

std::shared_ptr<QueuedJob> JobQueue::take_next(std::unique_lock<std::mutex>& lock) {
  changed_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
  if (stopping_) return nullptr;
  running_ = waiting_.front();
  waiting_.pop_front();
  running_->record.started_at = now();
  return running_;
}

}  // namespace mcpu
