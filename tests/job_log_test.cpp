#include "daemon/job_log.hpp"

#include <doctest/doctest.h>

#include "tests/job_story.hpp"

namespace mcpu::job_log_test {

namespace {

/// A log whose events can be read again.
struct Talking {
  Talking() {
    make_directories(fs, layout.job(3), 0700);
    events.open(3);
  }
  std::vector<Event> told() {
    events.flush(3);
    std::vector<Event> all;
    for (const auto& one : events.read(3, 1, 1000)) all.push_back(one->event);
    return all;
  }

  MemoryFileSystem fs;
  Layout layout{"/state", "/cache"};
  EventLog events{fs, layout};
  JobLog log{events, 3};
};

}  // namespace

TEST_CASE("events carry the phase that was entered, and entering it again says nothing") {
  Talking talking;
  talking.log.info("undo.done");
  talking.log.enter(Phase::kStage);
  talking.log.enter(Phase::kStage);
  talking.log.success("undo.done");
  const auto told = talking.told();
  REQUIRE(told.size() == 3);
  CHECK(told[0].phase == Phase::kQueue);
  CHECK(told[1].id == "phase.started");
  CHECK(told[1].tier == Tier::kDebug);
  CHECK(told[2].phase == Phase::kStage);
  CHECK(told[2].tier == Tier::kSuccess);
}

TEST_CASE("what is about a user concerns that user alone") {
  Talking talking;
  talking.log.emit_about(1000, Tier::kWarning, "config.changed",
                         {{"user", "anna"}, {"file", "~/.app"}});
  talking.log.info("undo.done");
  const auto told = talking.told();
  CHECK(told.at(0).concerns == 1000U);
  CHECK_FALSE(told.at(1).concerns);
}

TEST_CASE("the final event is marked, and known to have been told") {
  Talking talking;
  talking.log.info("undo.done");
  CHECK_FALSE(talking.log.finished());
  talking.log.finish(Tier::kSuccess, "job.finished", {{"message", "done"}});
  CHECK(talking.log.finished());
  const auto told = talking.told();
  CHECK_FALSE(told.at(0).last);
  CHECK(told.at(1).last);
}

TEST_CASE("progress is a percentage at once, and few events however often it is told") {
  Talking talking;
  CHECK(talking.log.percent() == -1);
  for (std::size_t done = 1; done <= 5000; ++done) talking.log.progress(done, 10000, done);
  CHECK(talking.log.percent() == 50);
  talking.log.progress(10000, 10000, 10000);
  CHECK(talking.log.percent() == 100);
  const auto told = talking.told();
  CHECK(told.size() < 100);
  CHECK(told.back().fields.at("done") == 10000);
}

TEST_CASE("a phase that begins knows nothing of the progress of the one before") {
  Talking talking;
  talking.log.progress(1, 2, 10);
  talking.log.enter(Phase::kActivate);
  CHECK(talking.log.percent() == -1);
  talking.log.progress(0, 0, 0);
  CHECK(talking.log.percent() == -1);
}

TEST_CASE("a log without a job only collects, details included") {
  JobLog log;
  log.warning("stage.damaged", {{"release", "1.0.0-aa"}});
  log.emit_about(1000, Tier::kInfo, "check.passed", {{"check", "app"}});
  CHECK_NOTHROW(log.flush());
  REQUIRE(log.collected().size() == 2);
  CHECK(log.collected()[0].fields.at("release") == "1.0.0-aa");
  CHECK(log.collected()[1].id == "check.passed");
}

}  // namespace mcpu::job_log_test
