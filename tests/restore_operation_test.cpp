#include "daemon/worker/restore_operation.hpp"

#include <doctest/doctest.h>

#include "daemon/durable.hpp"
#include "memory_file_system.hpp"
#include "proto/error.hpp"

namespace mcpu::restore_operation_test {

namespace {

const std::string kHome = "/home/anna";
const std::string kPath = ".claude/settings.json";
const std::string kFull = kHome + "/" + kPath;

HomeView view_of(FileSystem& fs) {
  // Files in memory belong to whoever the file system says its makers are.
  return {fs, kHome, fs.info(kHome)->uid, "anna", false};
}

/// A home whose file was "old" and is "new" by now, everything durable.
struct Scene {
  Scene() {
    make_directories(fs, kHome + "/.claude", 0700);
    write_durably(fs, kFull, "old", 0640);
    before = examine(view_of(fs), kPath);
    write_durably(fs, kFull, "new", 0600);
    after = examine(view_of(fs), kPath);
    fs.restart(Loss::kNothing);
  }
  RestoreResult restore() { return restore_file(view_of(fs), before, "old", after); }
  std::string content() { return read_file(fs, kFull, 100); }

  MemoryFileSystem fs;
  FileState before;
  FileState after;
};

}  // namespace

TEST_CASE(
    "a restore that is stopped anywhere leaves the old or the new file, and can be repeated") {
  const auto calls = [] {
    Scene scene;
    CHECK(scene.restore().restored);
    return scene.fs.changing_calls();
  }();
  REQUIRE(calls > 3);
  for (const auto loss : {Loss::kNothing, Loss::kUnsynced}) {
    for (std::uint64_t call = 1; call <= calls; ++call) {
      CAPTURE(call);
      Scene scene;
      scene.fs.crash_at(call);
      CHECK_THROWS_AS(scene.restore(), SimulatedCrash);
      scene.fs.restart(loss);
      CHECK((scene.content() == "old" || scene.content() == "new"));
      clean_file(view_of(scene.fs), kPath);
      CHECK(scene.restore().restored);
      CHECK(scene.content() == "old");
      CHECK(scene.fs.info(kFull)->mode == 0640);
      CHECK(scene.fs.list(kHome + "/.claude") == std::vector<std::string>{"settings.json"});
    }
  }
}

TEST_CASE("a restore that fails anywhere reports it, leaves the file whole and nothing beside it") {
  Scene counted;
  counted.restore();
  for (std::uint64_t call = 1; call <= counted.fs.changing_calls(); ++call) {
    CAPTURE(call);
    Scene scene;
    scene.fs.fail_at(call, ENOSPC);
    try {
      scene.restore();
    } catch (const Error& error) {
      CHECK(error.sys() == ENOSPC);
    }
    CHECK((scene.content() == "old" || scene.content() == "new"));
    CHECK(scene.fs.list(kHome + "/.claude") == std::vector<std::string>{"settings.json"});
    CHECK(scene.restore().restored);
    CHECK(scene.content() == "old");
  }
}

TEST_CASE("a file that was made meanwhile is not replaced") {
  Scene scene;
  scene.fs.remove_file(kFull);
  const auto absent = examine(view_of(scene.fs), kPath);
  write_durably(scene.fs, kFull, "mine", 0600);
  CHECK_FALSE(restore_file(view_of(scene.fs), scene.before, "old", absent).restored);
  CHECK(scene.content() == "mine");
}

}  // namespace mcpu::restore_operation_test
