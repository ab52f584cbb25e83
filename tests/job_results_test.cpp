#include "daemon/job_results.hpp"

#include <doctest/doctest.h>

#include <cerrno>

#include "tests/job_story.hpp"

namespace mcpu::job_results_test {

namespace {

/// A job whose turn never came.
struct Ending {
  Ending() {
    record.id = 5;
    record.request = upgrade_request();
    engine.records().create(record);
    engine.events().open(5);
  }
  void end() {
    results.end({machine.tools(), engine.state(), engine.events(), Retention()}, record,
                {Outcome::kCancelled, "cancelled before its turn", {}}, log);
  }

  Machine machine;
  Engine engine{machine};
  JobRecord record;
  JobResults results{engine.records()};
  JobLog log{engine.events(), 5};
};

}  // namespace

TEST_CASE("a job that ends while the disk is full has a result and a final event") {
  Ending ending;
  ending.machine.fs().fail_at(ending.machine.fs().changing_calls() + 1, ENOSPC, UINT32_MAX);
  ending.end();
  REQUIRE(ending.results.of(5));
  CHECK(ending.results.of(5)->message == "cancelled before its turn");
  CHECK(ending.results.unstored().size() == 1);
  const auto events = events_of(ending.engine, 5);
  REQUIRE(events.size() == 1);
  CHECK(events[0].last);
  CHECK(events[0].id == "job.cancelled");
  CHECK_THROWS_AS(ending.results.store(), Error);

  ending.machine.fs().fail_at(0, 0, 0);
  ending.results.store();
  CHECK(ending.results.unstored().empty());
  CHECK(ending.engine.records().read(5)->result->message == "cancelled before its turn");
}

TEST_CASE("a result that is stored is not kept, and is not told twice") {
  Ending ending;
  ending.end();
  CHECK(ending.results.unstored().empty());
  ending.results.keep(ending.record, {Outcome::kFailed, "something else", {}}, ending.log);
  CHECK(ending.results.unstored().empty());
  CHECK(ending.results.of(5)->outcome == Outcome::kCancelled);
  CHECK(events_of(ending.engine, 5).size() == 1);
}

TEST_CASE("a job that has not ended, or never was, has no result") {
  Ending ending;
  CHECK_FALSE(ending.results.of(5));
  CHECK_FALSE(ending.results.of(6));
}

}  // namespace mcpu::job_results_test
