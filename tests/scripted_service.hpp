#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>

#include "daemon/service.hpp"
#include "proto/error.hpp"

namespace mcpu {

/// A service for tests of the wire: answers what it was told to, over a real event log. Any thread.
class ScriptedService : public Service {
 public:
  explicit ScriptedService(EventLog& events) : events_(events) {}

  /// Makes the next submits give this ticket, or throw the error.
  void script(Ticket ticket) {
    set([&] { ticket_ = std::move(ticket); });
  }
  void script(Error error) {
    set([&] { error_ = std::move(error); });
  }
  void finish(JobId job, JobResult result) {
    set([&] { results_[job] = std::move(result); });
  }
  void set_latest(JobId job) {
    set([&] { latest_ = job; });
  }
  /// plan() blocks until this is called.
  void release_plan() {
    set([&] { plan_may_go_ = true; });
    released_.notify_all();
  }
  std::vector<JobRequest> submitted() const { return get(submitted_); }
  std::vector<std::string> marks() const { return get(marks_); }
  std::atomic<bool> is_idle{true};
  std::atomic<bool> strangers_only{false};  ///< whoever comes may change nothing
  std::atomic<int> expired{0};
  std::atomic<int> planning{0};

  Ticket submit(const JobRequest& request, const Peer&) override {
    const std::lock_guard lock(mutex_);
    if (error_) throw *error_;
    submitted_.push_back(request);
    return ticket_;
  }
  void expire(JobId job) override {
    ++expired;
    events_.emit(job, Tier::kError, Phase::kQueue, "job.expired", {{"message", "waited too long"}},
                 {}, true);
    events_.flush(job);
    finish(job, {Outcome::kExpired, "waited too long", nlohmann::json::object()});
  }
  std::optional<JobResult> result(JobId job) override {
    const std::lock_guard lock(mutex_);
    const auto found = results_.find(job);
    return found == results_.end() ? std::nullopt : std::optional(found->second);
  }
  bool settled() override { return true; }
  nlohmann::json busy_details() override {
    return {{"job", 1}, {"owner", "ann"}, {"phase", "stage"}, {"since", "2026-01-01"}};
  }
  nlohmann::json cancel(JobId job, const Peer&) override {
    return {{"job", job}, {"state", "cancelling"}, {"message", "will be undone"}};
  }
  nlohmann::json plan(const JobRequest& request, const Peer&) override {
    ++planning;
    std::unique_lock lock(mutex_);
    released_.wait(lock, [&] { return plan_may_go_; });
    return {{"kind", kind_name(request.kind)}, {"to", request.to.value_or("")}};
  }
  nlohmann::json status(const std::string& app, bool verify, const Peer& peer) override {
    return {{"app", app}, {"verify", verify}, {"uid", peer.uid}};
  }
  nlohmann::json jobs(const std::string&, std::size_t limit, const Peer&) override {
    return {{"limit", limit}, {"jobs", nlohmann::json::array()}};
  }
  nlohmann::json releases(const std::string& app, const Peer&) override {
    return {{"app", app}, {"releases", nlohmann::json::array()}};
  }
  nlohmann::json mark(const std::string& app, const std::string& action, const std::string& release,
                      const Peer&) override {
    set([&] { marks_.push_back(action + " " + release); });
    return {{"app", app}, {"release", release}, {"message", action}};
  }
  nlohmann::json show_configuration(const Peer&) override {
    throw std::runtime_error("not an Error of ours");
  }
  bool may_change(const Peer&) override { return !strangers_only; }
  bool may_see(std::uint32_t uid, const Peer&) override { return uid != kHiddenUid; }
  JobId latest_job() override { return get(latest_); }
  JobId next_job(JobId job) override { return get(latest_) > job ? job + 1 : 0; }
  EventLog& events() override { return events_; }
  bool idle() override { return is_idle; }

  static constexpr std::uint32_t kHiddenUid = 4242;

 private:
  template <typename Change>
  void set(Change change) {
    const std::lock_guard lock(mutex_);
    change();
  }
  template <typename Value>
  Value get(const Value& value) const {
    const std::lock_guard lock(mutex_);
    return value;
  }

  EventLog& events_;
  mutable std::mutex mutex_;
  std::condition_variable released_;
  Ticket ticket_{1, "started", 0, std::chrono::seconds(0)};
  std::optional<Error> error_;
  std::vector<JobRequest> submitted_;
  std::vector<std::string> marks_;
  std::map<JobId, JobResult> results_;
  JobId latest_ = 0;
  bool plan_may_go_ = false;
};

}  // namespace mcpu
