#include "daemon/retention.hpp"

#include <algorithm>

#include <doctest/doctest.h>

#include "daemon/denied_releases.hpp"
#include "tests/engine_fixture.hpp"

namespace mcpu::retention_test {

namespace {

HistoryEntry entry(JobId job, const std::string& from, const std::string& to,
                   Mode mode = Mode::kQuick) {
  return {job, now(), JobKind::kUpgrade, mode, from, to, "anna"};
}

std::set<std::string> releases(const Kept& kept) {
  std::set<std::string> ids;
  for (const auto& [id, reasons] : kept.releases) ids.insert(id);
  return ids;
}

using Ids = std::set<std::string>;
using Jobs = std::set<JobId>;

/// One history, and what must be left of it.
struct Case {
  const char* name;
  std::vector<HistoryEntry> history;
  std::vector<std::string> pins;
  std::string current;
  Retention retention;
  Ids releases;
  Jobs jobs;
};

std::vector<Case> cases() {
  const auto quick = entry(1, "", "a"), second = entry(2, "a", "b"), third = entry(3, "b", "c");
  const auto full = entry(1, "", "a", Mode::kFull);
  return {
      {"nothing happened yet", {}, {}, "", {5, 3}, {}, {}},
      {"the first installation", {quick}, {}, "a", {5, 3}, {"a"}, {1}},
      {"all within the limits",
       {quick, second, third},
       {},
       "c",
       {5, 3},
       {"a", "b", "c"},
       {1, 2, 3}},
      {"only the last job", {quick, second, third}, {}, "c", {1, 1}, {"b", "c"}, {3}},
      {"no job at all: the way back stays",
       {quick, second, third},
       {},
       "c",
       {0, 0},
       {"b", "c"},
       {3}},
      {"a pinned release stays", {quick, second, third}, {"a"}, "c", {0, 0}, {"a", "b", "c"}, {3}},
      {"full jobs are counted apart",
       {full, second, third},
       {},
       "c",
       {1, 1},
       {"a", "b", "c"},
       {1, 3}},
      {"the same content again is no way back",
       {quick, second, entry(3, "b", "b")},
       {},
       "b",
       {0, 0},
       {"a", "b"},
       {2, 3}},
      {"what stood before is no release", {entry(1, kBefore, "a")}, {}, "a", {5, 3}, {"a"}, {1}},
      {"after leaving, current and the last snapshot stay",
       {quick, entry(2, "a", kBefore)},
       {},
       "a",
       {0, 0},
       {"a"},
       {2}},
  };
}

}  // namespace

TEST_CASE("what is kept") {
  for (const Case& one : cases()) {
    CAPTURE(one.name);
    ApplicationState state;
    state.history = one.history;
    state.pins = one.pins;
    const Kept kept = what_to_keep(state, one.current, one.retention);
    CHECK(releases(kept) == one.releases);
    CHECK(kept.jobs == one.jobs);
  }
}

TEST_CASE("each kept release says why") {
  ApplicationState state;
  state.history = {entry(1, "", "a"), entry(2, "a", "b")};
  state.pins = {"a"};
  const Kept kept = what_to_keep(state, "b", {5, 3});
  CHECK(kept.releases.at("b") == std::vector<std::string>{"current", "job 2"});
  CHECK(kept.releases.at("a") ==
        std::vector<std::string>{"pinned", "to roll back to", "job 2", "job 1"});
}

TEST_CASE("a job whose way back is damaged does not count") {
  ApplicationState state;
  state.history = {entry(1, "", "a"), entry(2, "a", "b"), entry(3, "b", "c"), entry(4, "c", "d")};
  CHECK(releases(what_to_keep(state, "d", {1, 1})) == Ids{"c", "d"});
  state.health["c"].passed = false;
  const Kept kept = what_to_keep(state, "d", {1, 1});
  CHECK(releases(kept) == Ids{"b", "c", "d"});
  CHECK(kept.jobs == Jobs{3, 4});
}

TEST_CASE("after leaving, what was current is the one to roll back to, and nothing else is") {
  ApplicationState state;
  state.history = {entry(1, kBefore, "a"), entry(2, "a", "b"), entry(3, "b", "a"),
                   entry(4, "a", kBefore)};
  const Kept kept = what_to_keep(state, "a", {5, 3});
  CHECK(kept.releases.at("a").front() == "to roll back to");
  CHECK(std::ranges::count(kept.releases.at("b"), "to roll back to") == 0);
  CHECK(std::ranges::count(kept.releases.at("a"), "current") == 0);
}

TEST_CASE("a job is named once as what keeps a release") {
  ApplicationState state;
  state.history = {entry(1, "", "a"), entry(2, "a", "a")};
  CHECK(what_to_keep(state, "a", {5, 3}).releases.at("a") ==
        std::vector<std::string>{"current", "job 2", "job 1"});
}

TEST_CASE("pruning removes releases and snapshots, but none that a process runs from") {
  Machine machine;
  machine.configuration().retention = {5, 3};
  for (const char* version : {"1.0.0", "1.1.0", "1.2.0", "1.3.0"}) {
    machine.offer(version);
    run_well(machine, upgrade_request());
  }
  const auto ids = machine.store().list();
  REQUIRE(ids.size() == 4);
  const auto running = machine.fs().lock(machine.layout().release("app", ids[0]) + "/in-use",
                                         LockKind::kRead, std::chrono::milliseconds(0));
  StateStore state(machine.fs(), machine.layout());
  JobLog log;
  prune(machine.fs(), machine.layout(), "app", *state.get(), {1, 1}, log);
  CHECK(machine.store().list() == std::vector<std::string>{ids[0], ids[2], ids[3]});
  CHECK(machine.fs().list(machine.layout().snapshots()) == std::vector<std::string>{"4"});
  CHECK(machine.runs() == "app 1.3.0");
}

TEST_CASE("records and logs of the newest jobs are kept, and of one that a denied release names") {
  Machine machine;
  machine.offer("1.0.0");
  run_well(machine, upgrade_request());
  JobRecords records(machine.fs(), machine.layout());
  for (JobId id = 2; id <= 9; ++id) {
    JobRecord record;
    record.id = id;
    record.queued_at = now();
    records.create(record);
  }
  DeniedRelease denied;
  denied.digest = "abc";
  denied.job = 3;
  DeniedReleases(machine.fs(), machine.layout(), "other").add(denied);
  StateStore state(machine.fs(), machine.layout());
  EventLog events(machine.fs(), machine.layout());
  events.open(9);
  JobLog log(events, 9);
  prune(machine.fs(), machine.layout(), "app", *state.get(), {5, 3, 9}, log);
  CHECK(records.list().size() == 9);
  prune(machine.fs(), machine.layout(), "app", *state.get(), {5, 3, 2}, log);
  CHECK(records.list() == std::vector<JobId>{1, 3, 8, 9});
}

TEST_CASE("pruning that fails is a warning") {
  Machine machine;
  for (const char* version : {"1.0.0", "1.1.0", "1.2.0"}) {
    machine.offer(version);
    run_well(machine, upgrade_request());
  }
  StateStore state(machine.fs(), machine.layout());
  machine.fs().restart(Loss::kNothing);
  machine.fs().fail_at(1, EIO, 1000);
  JobLog log;
  prune(machine.fs(), machine.layout(), "app", *state.get(), {0, 0}, log);
  REQUIRE_FALSE(log.collected().empty());
  CHECK(log.collected().back().id == "prune.failed");
  CHECK(log.collected().back().tier == Tier::kWarning);
}

}  // namespace mcpu::retention_test
