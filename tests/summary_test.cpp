#include "daemon/summary.hpp"

#include <doctest/doctest.h>

#include "tests/job_story.hpp"

namespace mcpu::summary_test {

namespace {

/// The end of a job whose plan a test writes.
struct Ending {
  Ending() {
    job.plan.job = 12;
    job.plan.app = "app";
    job.plan.from = "1.0.0-aa";
    job.plan.to = "1.1.0-bb";
    job.changes = {{"new"}, {"bin/app", "lib/part"}, {}};
    record.by = "anna";
  }
  Commit commit(std::chrono::milliseconds duration = std::chrono::milliseconds(1234)) {
    StepContext context(machine.tools(), job.plan, log);
    context.config_lines = config_lines;
    return summarize(record, job, context, duration);
  }
  std::string line(const std::string& start) {
    for (const std::string& one : commit().lines) {
      if (one.starts_with(start)) return one;
    }
    return "";
  }

  Machine machine;
  JobRecord record;
  PreparedJob job;
  JobLog log;
  std::vector<PrivateLine> config_lines;
};

}  // namespace

TEST_CASE("a summary says from, to, what changed, where, backup, log, time and what next") {
  Ending ending;
  CHECK(ending.commit().result.message == "upgraded to 1.1.0-bb from 1.0.0-aa");
  CHECK(ending.line("from") == "from     1.0.0-aa");
  CHECK(ending.line("to") == "to       1.1.0-bb");
  CHECK(ending.line("changed") == "changed  2 files changed, 1 added, 0 removed");
  CHECK(ending.line("where") == "where    /var/lib/mcpu/apps/app/releases/1.1.0-bb/tree");
  CHECK(ending.line("backup") == "backup   /var/lib/mcpu/snapshots/12");
  CHECK(ending.line("log") == "log      'mcpctl logs 12'");
  CHECK(ending.line("time") == "time     1.23 s");
  CHECK(ending.line("next") == "next     'mcpctl rollback' goes back to 1.0.0-aa");
}

TEST_CASE("a copy of the release before is no way back") {
  Ending ending;
  ending.job.plan.from = "1.1.0-bb";
  ending.job.plan.to = "1.1.0-bb~2";
  CHECK(ending.line("next") == "next     'mcpctl status' shows how things stand");
}

TEST_CASE("a first installation has nothing to go back to, and says so") {
  Ending ending;
  ending.job.plan.from = "";
  CHECK(ending.commit().result.message == "installed 1.1.0-bb");
  CHECK(ending.line("from") == "from     nothing");
  CHECK(ending.line("next") == "next     'mcpctl status' shows how things stand");
}

TEST_CASE("an adoption names the way back to what stood there") {
  Ending ending;
  ending.job.plan.from = kBefore;
  CHECK(ending.commit().result.message == "upgraded to 1.1.0-bb from what stood before adoption");
  CHECK(contains(ending.line("next"), "'mcpctl rollback --to before'"));
}

TEST_CASE("a rollback says that it is one") {
  Ending ending;
  ending.job.plan.kind = JobKind::kRollback;
  CHECK(ending.commit().result.message == "rolled back to 1.1.0-bb from 1.0.0-aa");
}

TEST_CASE("a rollback to before has no tree, and names the way forth") {
  Ending ending;
  ending.job.plan.kind = JobKind::kRollback;
  ending.job.plan.to = kBefore;
  CHECK(ending.line("where").empty());
  CHECK(ending.line("next") == "next     'mcpctl rollback' comes back to 1.0.0-aa");
}

TEST_CASE("configuration files that were restored or kept have lines that their owner sees") {
  Ending ending;
  ending.config_lines = {{1001, "restored: ~/.app/settings.json"}};
  CHECK(ending.line("configs").empty());
  const Commit commit = ending.commit();
  REQUIRE(commit.private_lines.size() == 1);
  CHECK(commit.private_lines[0].uid == 1001);
  CHECK(commit.private_lines[0].text == "configs  restored: ~/.app/settings.json");
}

TEST_CASE("programs find in the result what people read in the lines") {
  Ending ending;
  const nlohmann::json details = ending.commit().result.details;
  CHECK(details.at("from") == "1.0.0-aa");
  CHECK(details.at("to") == "1.1.0-bb");
  CHECK(details.at("changed") == 2);
  CHECK(details.at("added") == 1);
  CHECK(details.at("removed") == 0);
  CHECK(details.at("milliseconds") == 1234);
  CHECK(details.at("backup") == "/var/lib/mcpu/snapshots/12");
}

}  // namespace mcpu::summary_test
