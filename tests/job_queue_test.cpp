#include "daemon/job_queue.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <future>
#include <semaphore>
#include <vector>

#include "proto/error.hpp"

namespace mcpu::job_queue_test {

using namespace std::chrono_literals;

namespace {

constexpr auto kSoon = 5s;  // never reached when all is well

JobRequest request_to(const std::string& version) {
  JobRequest request;
  request.to = version;
  return request;
}

/// A queue whose jobs run until the test lets them go on.
struct Turnstile {
  Turnstile() {
    actions.run = [this](QueuedJob& job) {
      note("run " + std::to_string(job.record.id));
      begun.release();
      CHECK(go_on.try_acquire_for(kSoon));
      if (job.cancellation.requested()) note("cancelled " + std::to_string(job.record.id));
    };
    actions.drop = [this](QueuedJob& job, const JobResult& result) {
      note("drop " + std::to_string(job.record.id) + " " +
           std::string(outcome_name(result.outcome)));
    };
    actions.recover = [this] { return note("recover"), true; };
    actions.needs_recovery = [] { return false; };
  }

  JobQueue::Place add(const JobRequest& request, bool no_wait = false) {
    return queue->add(
        [&] {
          auto job = std::make_unique<QueuedJob>();
          job->record.id = ++last;
          job->record.request = request;
          job->record.by = "anna";
          job->log = std::make_unique<JobLog>();
          return job;
        },
        no_wait);
  }
  void start() {
    queue.emplace(actions);
    queue->start();
  }
  /// Waits until one job has begun.
  void wait_for_job() { REQUIRE(begun.try_acquire_for(kSoon)); }
  void let_go(std::ptrdiff_t jobs = 1) { go_on.release(jobs); }
  void note(const std::string& what) {
    const std::lock_guard lock(mutex);
    story.push_back(what);
  }
  std::vector<std::string> told() {
    const std::lock_guard lock(mutex);
    return story;
  }
  /// Ends the job thread, with everything that waits.
  std::vector<std::string> stop() {
    queue->stop();
    return told();
  }

  JobQueue::Actions actions;
  std::mutex mutex;
  std::vector<std::string> story;
  std::counting_semaphore<> begun{0}, go_on{0};
  JobId last = 0;
  std::optional<JobQueue> queue;
};

using Story = std::vector<std::string>;

}  // namespace

TEST_CASE("recovery comes first, then jobs in the order of their arrival") {
  Turnstile turns;
  turns.queue.emplace(turns.actions);
  CHECK(turns.add(request_to("1")).position == 1);
  CHECK(turns.add(request_to("2")).position == 2);
  CHECK_FALSE(turns.queue->idle());
  turns.queue->start();
  turns.wait_for_job();
  turns.let_go(2);
  turns.wait_for_job();
  CHECK(turns.stop() == Story{"recover", "run 1", "run 2"});
}

TEST_CASE("the same work is joined, by request id even when it differs") {
  Turnstile turns;
  turns.start();
  JobRequest first = request_to("1");
  first.request_id = "abc";
  turns.add(first);
  turns.wait_for_job();
  turns.add(request_to("2"));
  CHECK(turns.queue->same(request_to("1"))->position == 0);
  CHECK(turns.queue->same(request_to("2"))->job == 2);
  CHECK(turns.queue->same(request_to("2"))->position == 1);
  CHECK_FALSE(turns.queue->same(request_to("3")));
  JobRequest same_id = request_to("3");
  same_id.request_id = "abc";
  CHECK(turns.queue->same(same_id)->job == 1);
  turns.let_go(2);
  turns.wait_for_job();
}

TEST_CASE("a job that is being cancelled is not joined") {
  Turnstile turns;
  turns.start();
  turns.add(request_to("1"));
  turns.wait_for_job();
  JobId job = 0;
  CHECK(turns.queue->cancel(job) == "cancelling");
  CHECK(job == 1);
  CHECK_FALSE(turns.queue->same(request_to("1")));
  turns.let_go();
}

TEST_CASE("who does not want to wait is told who has the turn") {
  Turnstile turns;
  turns.start();
  turns.add(request_to("1"));
  turns.wait_for_job();
  try {
    turns.add(request_to("2"), true);
    FAIL("it was added");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kBusy);
    CHECK(error.context().at("job") == 1);
    CHECK(error.context().at("owner") == "anna");
    CHECK(error.context().contains("phase"));
    CHECK(error.context().contains("since"));
  }
  turns.let_go();
}

TEST_CASE("a waiting job expires, a running one does not") {
  Turnstile turns;
  turns.start();
  turns.add(request_to("1"));
  turns.wait_for_job();
  turns.add(request_to("2"));
  turns.queue->expire(2);
  turns.queue->expire(1);
  CHECK(turns.queue->view().waiting.empty());
  turns.let_go();
  CHECK(turns.stop() == Story{"recover", "run 1", "drop 2 expired", "cancelled 1"});
}

TEST_CASE("cancelling: a waiting job is dropped, a committed one is too late, others are unknown") {
  Turnstile turns;
  turns.start();
  turns.add(request_to("1"));
  turns.wait_for_job();
  turns.add(request_to("2"));
  JobId second = 2, first = 1, unknown = 9;
  CHECK(turns.queue->cancel(second) == "cancelled");
  turns.queue->mark_committed();
  CHECK(turns.queue->cancel(first) == "committed");
  CHECK_THROWS_AS(turns.queue->cancel(unknown), Error);
  turns.let_go();
}

TEST_CASE("a cancel before the commit mark wins") {
  Turnstile turns;
  turns.start();
  turns.add(request_to("1"));
  turns.wait_for_job();
  JobId job = 1;
  turns.queue->cancel(job);
  turns.queue->mark_committed();
  CHECK(turns.queue->cancel(job) == "cancelling");
  turns.let_go();
}

TEST_CASE("stopping cancels the running job and drops the waiting ones") {
  Turnstile turns;
  turns.start();
  turns.add(request_to("1"));
  turns.wait_for_job();
  turns.add(request_to("2"));
  auto stopped = std::async(std::launch::async, [&] { return turns.stop(); });
  while (turns.told().size() < 3) std::this_thread::yield();
  turns.let_go();
  CHECK(stopped.get() == Story{"recover", "run 1", "drop 2 cancelled", "cancelled 1"});
  CHECK_THROWS_AS(turns.add(request_to("3")), Error);
}

TEST_CASE("what a job left behind is recovered before the next one") {
  Turnstile turns;
  std::atomic<bool> left{true};
  turns.actions.needs_recovery = [&] { return left.exchange(false); };
  turns.start();
  turns.add(request_to("1"));
  turns.wait_for_job();
  turns.add(request_to("2"));
  turns.let_go(2);
  turns.wait_for_job();
  CHECK(turns.stop() == Story{"recover", "run 1", "recover", "run 2"});
}

TEST_CASE("jobs wait while a recovery is pending, and stopping does not wait for it") {
  Turnstile turns;
  std::binary_semaphore tried{0};
  turns.actions.recover = [&] { return tried.release(), false; };
  turns.start();
  turns.add(request_to("1"));
  REQUIRE(tried.try_acquire_for(kSoon));
  CHECK_FALSE(turns.queue->idle());
  CHECK(turns.queue->view().recovering);
  CHECK(turns.queue->view().waiting.size() == 1);
  CHECK(turns.stop() == Story{"drop 1 cancelled"});
}

TEST_CASE("work without a number takes its turn, and what it throws comes back") {
  Turnstile turns;
  turns.start();
  bool done = false;
  turns.queue->run_in_turn(5s, [&](const Cancellation&) { done = true; });
  CHECK(done);
  CHECK_THROWS_AS(
      turns.queue->run_in_turn(5s, [](const Cancellation&) { throw Error(Code::kSource, "gone"); }),
      Error);
  turns.add(request_to("1"));
  turns.wait_for_job();
  try {
    turns.queue->run_in_turn(0s, [&](const Cancellation&) { FAIL("it ran"); });
    FAIL("it did not wait");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kBusy);
  }
  turns.let_go();
}

}  // namespace mcpu::job_queue_test
