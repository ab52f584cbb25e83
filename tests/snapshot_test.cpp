#include "daemon/snapshot.hpp"

#include <doctest/doctest.h>

#include <cerrno>

#include "proto/error.hpp"
#include "tests/engine_fixture.hpp"

namespace mcpu::snapshot_test {

namespace {

struct Scene {
  Scene() : snapshot(machine.fs(), machine.layout(), 5, 0) { machine.fs().restart(Loss::kNothing); }
  Home home() {
    return {machine.environment().tools.processes, identity_of(0U), machine.app().files};
  }
  const FileState& settings(const std::vector<FileState>& states) {
    const FileState* found = find_state(states, Machine::kSettings);
    REQUIRE(found);
    return *found;
  }

  Machine machine;
  Snapshot snapshot;
};

/// Which of its changing calls is the sync that makes a discarded snapshot's end durable.
std::uint64_t last_call_of_discard() {
  Scene scene;
  Home home = scene.home();
  scene.snapshot.save(home);
  scene.snapshot.record_after({}, {});
  scene.machine.fs().restart(Loss::kNothing);
  scene.snapshot.discard();
  return scene.machine.fs().changing_calls();
}

}  // namespace

TEST_CASE("a snapshot holds each file's content, and the fact that one was not there") {
  Scene scene;
  Home home = scene.home();
  scene.snapshot.save(home);
  CHECK(scene.snapshot.complete());
  const auto before = scene.snapshot.before();
  REQUIRE(before.size() == 3);
  CHECK(scene.snapshot.content(scene.settings(before)) == "settings of anna");
  CHECK(scene.settings(before).mode == 0640);
  CHECK_FALSE(find_state(before, ".app/absent")->exists);
  CHECK_FALSE(scene.snapshot.after());
}

TEST_CASE("a snapshot that is stopped anywhere is complete or not there") {
  for (const Loss loss : {Loss::kNothing, Loss::kUnsynced}) {
    for (std::uint64_t call = 1;; ++call) {
      CAPTURE(call);
      Scene scene;
      Home home = scene.home();
      scene.machine.fs().crash_at(call);
      try {
        scene.snapshot.save(home);
      } catch (const SimulatedCrash&) {
      }
      if (!scene.machine.fs().down()) break;
      scene.machine.fs().restart(loss);
      if (scene.snapshot.complete()) {
        for (const FileState& state : scene.snapshot.before()) {
          if (state.exists) CHECK_NOTHROW(scene.snapshot.content(state));
        }
      }
      Home again = scene.home();
      scene.snapshot.save(again);
      CHECK(scene.snapshot.complete());
    }
  }
}

TEST_CASE("what the release touched is remembered beside the state after") {
  Scene scene;
  Home home = scene.home();
  scene.snapshot.save(home);
  scene.snapshot.record_after(home.inspect(), {Machine::kSettings});
  CHECK(scene.snapshot.after()->size() == 3);
  CHECK(scene.snapshot.touched() == std::set<std::string>{Machine::kSettings});
}

TEST_CASE("damage is named, never restored") {
  Scene scene;
  Home home = scene.home();
  scene.snapshot.save(home);
  const FileState state = scene.settings(scene.snapshot.before());
  const std::string content = scene.snapshot.directory() + "/content/" + state.content.hex();
  write_durably(scene.machine.fs(), content, "settings of eve!", 0600);
  CHECK_THROWS_AS(scene.snapshot.content(state), Error);
  write_durably(scene.machine.fs(), scene.snapshot.directory() + "/manifest.json", "{}", 0600);
  CHECK_THROWS_AS(scene.snapshot.before(), Error);
}

TEST_CASE("discarding keeps what was found and replaced") {
  Scene scene;
  Home home = scene.home();
  scene.snapshot.save(home);
  const FileState state = scene.settings(scene.snapshot.before());
  scene.snapshot.keep_found(state, "settings of anna");
  scene.snapshot.keep_found(state, "settings of anna");
  scene.snapshot.discard();
  CHECK(scene.machine.fs().list(scene.snapshot.directory() + "/found").size() == 1);
  Snapshot other(scene.machine.fs(), scene.machine.layout(), 6, 0);
  other.save(home);
  other.discard();
  other.discard();
  CHECK_FALSE(scene.machine.fs().info(scene.machine.layout().snapshot(6)));
}

TEST_CASE("discarding again makes durable what the first time could not") {
  Scene scene;
  MemoryFileSystem& fs = scene.machine.fs();
  Home home = scene.home();
  scene.snapshot.save(home);
  scene.snapshot.record_after({}, {});
  fs.restart(Loss::kNothing);
  fs.fail_at(last_call_of_discard(), ENOSPC);
  CHECK_THROWS_AS(scene.snapshot.discard(), Error);
  scene.snapshot.discard();
  fs.restart(Loss::kUnsynced);
  CHECK_FALSE(fs.info(scene.machine.layout().snapshot(5)));
}

}  // namespace mcpu::snapshot_test
