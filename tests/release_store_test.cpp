#include "daemon/release_store.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>

#include "proto/error.hpp"
#include "tests/engine_fixture.hpp"

namespace mcpu::release_store_test {

namespace {

/// 1.0.0 and 1.1.0 are installed.
const Machine& installed() {
  static const Machine machine = [] {
    Machine one;
    run_well(one, upgrade_request());
    one.offer("1.1.0");
    run_well(one, upgrade_request());
    one.fs().restart(Loss::kNothing);
    return one;
  }();
  return machine;
}

std::string release(const Machine& machine, std::size_t index) {
  return machine.store().list().at(index);
}

}  // namespace

TEST_CASE("a release says what it is, and is whole") {
  const Machine machine(installed());
  const auto store = machine.store();
  REQUIRE(store.list().size() == 2);
  const std::string id = release(machine, 1);
  CHECK(store.current() == id);
  const ReleaseInfo info = store.read(id);
  CHECK(info.version == "1.1.0");
  CHECK(info.origin == Machine::kSource);
  CHECK(ReleaseStore::make_id(info.version, info.digest) == id);
  CHECK(store.listing(id).digest() == info.digest);
  CHECK(store.verify(id).empty());
  CHECK(store.exec(id).at(0).path == "bin/app");
}

TEST_CASE("unchanged files are shared, files and directories are read-only") {
  const Machine machine(installed());
  const auto info = [&](std::size_t index, const std::string& path) {
    return *machine.fs().info(machine.layout().tree("app", release(machine, index)) + path);
  };
  CHECK(info(0, "/doc/same").inode == info(1, "/doc/same").inode);
  CHECK(info(0, "/lib/part").inode != info(1, "/lib/part").inode);
  CHECK(info(1, "/lib/part").mode == 0444);
  CHECK(info(1, "/bin/app").mode == 0555);
  CHECK(info(1, "/bin").mode == 0555);
}

TEST_CASE("damage is found by content and named") {
  Machine machine(installed());
  const std::string id = release(machine, 1);
  machine.write(machine.layout().tree("app", id) + "/lib/part", "part of 1.1.1", 0444);
  const auto damages = machine.store().verify(id);
  REQUIRE(damages.size() == 1);
  CHECK(damages[0].path == "lib/part");
  machine.write(machine.layout().release("app", id) + "/listing", "no listing");
  CHECK_FALSE(machine.store().verify(id).empty());
}

TEST_CASE("damage never spreads to a new release") {
  Machine machine(installed());
  machine.write(machine.layout().tree("app", release(machine, 1)) + "/doc/same", "damaged", 0444);
  machine.offer("1.2.0");
  run_well(machine, upgrade_request());
  CHECK(machine.store().verify(release(machine, 2)).empty());
}

TEST_CASE("versions become names that are safe") {
  const Sha256 digest = Sha256::of("x");
  const std::string end = "-" + digest.hex().substr(0, 12);
  CHECK(ReleaseStore::make_id("1.2.3-rc.1+x", digest) == "1.2.3-rc.1+x" + end);
  CHECK(ReleaseStore::make_id("../../etc", digest) == "_.._.._etc" + end);
  CHECK(ReleaseStore::make_id("", digest) == "_" + end);
  CHECK(ReleaseStore::make_id("a b/c\n", digest) == "a_b_c_" + end);
  CHECK_FALSE(installed().store().exists("../app"));
  CHECK_FALSE(installed().store().exists(""));
}

TEST_CASE("a release that a process runs from is not removed") {
  Machine machine(installed());
  const std::string id = release(machine, 0);
  auto store = machine.store();
  {
    const auto process = machine.fs().lock(machine.layout().release("app", id) + "/in-use",
                                           LockKind::kRead, std::chrono::milliseconds(0));
    CHECK(store.in_use(id));
    CHECK_FALSE(store.remove(id));
    CHECK(store.verify(id).empty());
  }
  CHECK_FALSE(store.in_use(id));
  CHECK(store.remove(id));
  CHECK(store.list().size() == 1);
}

TEST_CASE("a release that lost the file which launchers lock can be removed, and is damaged") {
  Machine machine(installed());
  const std::string id = release(machine, 0);
  const std::string file = machine.layout().release("app", id) + "/in-use";
  machine.fs().remove_file(file);
  auto store = machine.store();
  REQUIRE(store.verify(id).size() == 1);
  CHECK(store.verify(id)[0].path == file);
  CHECK_FALSE(store.in_use(id));
  CHECK(store.remove(id));
}

TEST_CASE("a removal that is stopped anywhere leaves a whole release or none") {
  for (const Loss loss : {Loss::kNothing, Loss::kUnsynced}) {
    for (std::uint64_t call = 1;; ++call) {
      CAPTURE(call);
      Machine machine(installed());
      const std::string id = release(machine, 0);
      machine.fs().crash_at(call);
      try {
        machine.store().remove(id);
      } catch (const SimulatedCrash&) {
      }
      if (!machine.fs().down()) break;
      machine.fs().restart(loss);
      if (machine.store().exists(id)) CHECK(machine.store().verify(id).empty());
      machine.store().clean();
      for (const std::string& name : machine.fs().list(machine.layout().releases("app"))) {
        CHECK(name[0] != '.');
      }
    }
  }
}

TEST_CASE("switching moves one link, and an empty name removes it") {
  Machine machine(installed());
  auto store = machine.store();
  store.switch_to(release(machine, 0));
  CHECK(machine.runs() == "app 1.0.0");
  store.switch_to("");
  CHECK_FALSE(store.current());
}

TEST_CASE("what is no release is an error that names it") {
  Machine machine(installed());
  CHECK_THROWS_AS(machine.store().read("nothing"), Error);
  const std::string id = release(machine, 0);
  machine.write(machine.layout().release("app", id) + "/release.json", "{\"format\": 2}");
  CHECK_THROWS_AS(machine.store().read(id), Error);
}

TEST_CASE("a release is asked for again by what its source knows it by") {
  ReleaseInfo info;
  info.version = "1.2.3";
  CHECK(upgrade_options(info) == "--force");
  info.commit = "3a973fe0123456789abcdef0123456789abcdef0";
  CHECK(upgrade_options(info) == "--to 1.2.3");
  info.version = "1.2.3-4-g3a973fe";
  CHECK(upgrade_options(info) == "--to 3a973fe01234");
  info.version = "3a973fe";
  CHECK(upgrade_options(info) == "--to 3a973fe01234");
}

}  // namespace mcpu::release_store_test
