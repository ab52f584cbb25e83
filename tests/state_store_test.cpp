#include "daemon/state_store.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>

#include "daemon/durable.hpp"
#include "memory_file_system.hpp"
#include "proto/error.hpp"

namespace mcpu::state_store_test {

namespace {

struct Scene {
  Scene() {
    make_directories(fs, layout.state, 0755);
    fs.restart(Loss::kNothing);
  }
  std::vector<std::string> names() { return fs.list(layout.state); }

  MemoryFileSystem fs;
  Layout layout{"/var/lib/mcpu", ""};
};

void fill(State& state) {
  state.next_job = 8;
  ApplicationState& app = state.applications["app"];
  app.history = {{7, now(), JobKind::kRollback, Mode::kFull, "b", kBefore, "anna"}};
  app.pins = {"a"};
  app.holds["b"] = {"rolled back from", now()};
  app.paused = Hold{"held by anna", now()};
  app.health["a"] = {true, "all checks passed", now()};
  app.newest = Newest{"1.2.3", std::string(64, '0'), now()};
}

}  // namespace

TEST_CASE("a state is read back as it was stored") {
  Scene scene;
  {
    StateStore store(scene.fs, scene.layout);
    CHECK(store.get()->next_job == 1);
    store.update(fill);
  }
  const StateStore store(scene.fs, scene.layout);
  CHECK(store.damage().empty());
  State expected;
  fill(expected);
  const ApplicationState& app = store.get()->application("app");
  CHECK(store.get()->next_job == 8);
  CHECK(app.history.at(0).kind == JobKind::kRollback);
  CHECK(app.history.at(0).mode == Mode::kFull);
  CHECK(app.history.at(0).to == kBefore);
  CHECK(app.pins == std::vector<std::string>{"a"});
  CHECK(app.holds.at("b").reason == "rolled back from");
  CHECK(app.paused->reason == "held by anna");
  CHECK(app.health.at("a").passed);
  CHECK(app.newest->version == "1.2.3");
  CHECK(to_json(*store.get()) == to_json(state_from_json(to_json(*store.get()))));
  CHECK(store.get()->application("unknown").history.empty());
}

TEST_CASE("a rollback holds the release it leaves until somebody goes back there") {
  ApplicationState app;
  const auto holds = [&](JobId job, JobKind kind, const char* from, const char* to) {
    const HistoryEntry entry{job, now(), kind, Mode::kQuick, from, to, "anna"};
    app.record_switch(entry);
    app.record_switch(entry);  // as a recovery does
    CHECK(app.history.size() == job);
    return app.holds.size() == 1 ? app.holds.begin()->first : "";
  };
  CHECK(holds(1, JobKind::kUpgrade, "", "a").empty());
  CHECK(holds(2, JobKind::kUpgrade, "a", "b").empty());
  CHECK(holds(3, JobKind::kRollback, "b", "a") == "b");
  CHECK(holds(4, JobKind::kUpgrade, "a", "b").empty());
  CHECK(holds(5, JobKind::kRollback, "b", kBefore) == "b");
  CHECK(holds(6, JobKind::kRollback, kBefore, "a") == "b");
  CHECK(app.health.at("a").passed);
  CHECK_FALSE(app.health.contains(kBefore));
}

TEST_CASE("a damaged copy of the same release is no way back from the good one") {
  std::vector<HistoryEntry> history(3);
  history[0].to = "1.0.0-aaaaaaaaaaaa";
  history[1].from = history[0].to;
  history[1].to = "1.1.0-bbbbbbbbbbbb";
  history[2].from = history[1].to;
  history[2].to = "1.1.0-bbbbbbbbbbbb~3";
  CHECK(release_before(history, history[2].to) == "1.0.0-aaaaaaaaaaaa");
  CHECK(release_before({history[2]}, history[2].to).empty());
}

TEST_CASE("an update that is stopped anywhere leaves the old or the new state") {
  for (const Loss loss : {Loss::kNothing, Loss::kUnsynced}) {
    for (std::uint64_t call = 1;; ++call) {
      CAPTURE(call);
      Scene scene;
      StateStore(scene.fs, scene.layout).update([](State& state) { state.next_job = 5; });
      scene.fs.restart(Loss::kNothing);
      StateStore store(scene.fs, scene.layout);
      scene.fs.crash_at(call);
      try {
        store.update([](State& state) { state.next_job = 6; });
      } catch (const SimulatedCrash&) {
      }
      if (!scene.fs.down()) break;
      scene.fs.restart(loss);
      const StateStore after(scene.fs, scene.layout);
      CHECK(after.damage().empty());
      CHECK((after.get()->next_job == 5 || after.get()->next_job == 6));
    }
  }
}

TEST_CASE("a state that cannot be stored does not count") {
  Scene scene;
  StateStore store(scene.fs, scene.layout);
  scene.fs.fail_at(scene.fs.changing_calls() + 1, ENOSPC);
  CHECK_THROWS_AS(store.update([](State& state) { state.next_job = 9; }), Error);
  CHECK(store.get()->next_job == 1);
  store.update([](State& state) { state.next_job = 3; });
  CHECK(store.get()->next_job == 3);
}

TEST_CASE("the state of a newer program stays where it is, and changes are refused") {
  Scene scene;
  write_durably(scene.fs, scene.layout.state_file(), "{\"format\": 99}", 0600);
  StateStore store(scene.fs, scene.layout);
  CHECK(store.damage().find("newer mcp-upgraded") != std::string::npos);
  CHECK_THROWS_AS(store.update(fill), Error);
  CHECK(read_file(scene.fs, scene.layout.state_file(), 100) == "{\"format\": 99}");
}

TEST_CASE("a damaged state is set aside, and changes are refused, also after a restart") {
  for (const std::string content : {"{", "[]", "{\"format\": 1}"}) {
    CAPTURE(content);
    Scene scene;
    write_durably(scene.fs, scene.layout.state_file(), content, 0600);
    for (int start = 0; start < 2; ++start) {
      StateStore store(scene.fs, scene.layout);
      CHECK(store.damage().find("set aside as") != std::string::npos);
      CHECK_THROWS_AS(store.update(fill), Error);
      CHECK(std::ranges::any_of(scene.names(), [](const std::string& name) {
        return name.starts_with("state.json.corrupt-");
      }));
    }
  }
}

}  // namespace mcpu::state_store_test
