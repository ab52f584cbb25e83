#include "daemon/adoption.hpp"

#include <doctest/doctest.h>

#include "proto/error.hpp"
#include "tests/engine_fixture.hpp"

namespace mcpu::adoption_test {

namespace {

struct Scene {
  Scene()
      : entries(machine.fs(), machine.layout(), "app", machine.app().entry_points,
                Machine::kLauncher) {
    machine.write("/src/app/bin/app", "in a checkout", 0755);
  }
  const EntryPoint& entry() { return machine.app().entry_points.front(); }
  void link(const std::string& target) { link_durably(machine.fs(), target, Machine::kLink); }
  Standing standing() { return entries.at_link(entry()); }

  Machine machine;
  EntryPoints entries;
  const std::string record = machine.layout().adoption("app");
};

}  // namespace

TEST_CASE("adoption puts launchers and links in place, and back again") {
  Scene scene;
  scene.link("/src/app/bin/app");
  CHECK_FALSE(scene.entries.in_place());
  scene.entries.record(scene.record);
  CHECK(scene.entries.recorded_checkout(scene.record) == "/src/app");
  scene.entries.install();
  scene.entries.install();
  CHECK(scene.entries.in_place());
  CHECK(scene.entries.problems().empty());
  CHECK(scene.entries.put_back(scene.record).empty());
  CHECK(scene.standing().target == "/src/app/bin/app");
  CHECK(scene.entries.stands_as_recorded(scene.record));
}

TEST_CASE("a file that stood there comes back with its mode, owner and time") {
  Scene scene;
  scene.machine.write(Machine::kLink, "a script", 0754);
  scene.machine.fs().set_owner(Machine::kLink, 5, 6);
  scene.machine.fs().set_times(Machine::kLink, 123456789);
  scene.entries.record(scene.record);
  scene.entries.install();
  scene.entries.put_back(scene.record);
  CHECK(scene.machine.read(Machine::kLink) == "a script");
  const Standing back = scene.standing();
  CHECK(back.mode == 0754);
  CHECK(back.uid == 5);
  CHECK(back.gid == 6);
  CHECK(back.mtime_ns == 123456789);
}

TEST_CASE("where nothing stood, nothing is left") {
  Scene scene;
  scene.entries.record(scene.record);
  scene.entries.install();
  scene.entries.put_back(scene.record);
  CHECK(scene.standing().kind == Standing::Kind::kNothing);
}

TEST_CASE("what was recorded first is not recorded over") {
  Scene scene;
  scene.link("/src/app/bin/app");
  scene.entries.record(scene.record);
  scene.entries.install();
  scene.entries.record(scene.record);
  scene.entries.put_back(scene.record);
  CHECK(scene.standing().target == "/src/app/bin/app");
}

TEST_CASE("somebody's own link stays, and is named") {
  Scene scene;
  scene.link("/src/app/bin/app");
  scene.entries.record(scene.record);
  scene.entries.install();
  scene.link("/opt/mine");
  CHECK(scene.entries.put_back(scene.record) == std::vector<std::string>{Machine::kLink});
  CHECK(scene.standing().target == "/opt/mine");
  REQUIRE(scene.entries.problems().size() == 1);
  CHECK(scene.entries.problems()[0] ==
        "/usr/local/bin/app leads to /opt/mine, not to its launcher: run 'mcpctl repair' to put it "
        "back");
  scene.machine.fs().remove_file(Machine::kLink);
  CHECK(scene.entries.problems()[0] ==
        "/usr/local/bin/app is missing: run 'mcpctl repair' to put it back");
}

TEST_CASE("a launcher that was changed is a problem, and made whole") {
  Scene scene;
  scene.entries.record(scene.record);
  scene.entries.install();
  scene.machine.write(scene.machine.layout().launcher("app", "app"), "hostile", 0755);
  CHECK_FALSE(scene.entries.stands_as_recorded(scene.record));
  CHECK_FALSE(scene.entries.in_place());
  CHECK(scene.entries.problems().size() == 1);
  scene.entries.install();
  CHECK(scene.entries.in_place());
}

TEST_CASE("a directory in the way is refused by name") {
  Scene scene;
  make_directories(scene.machine.fs(), Machine::kLink, 0755);
  CHECK_THROWS_AS(scene.entries.record(scene.record), Error);
}

TEST_CASE("what to mend is the checkout, else what the link led to, else the file") {
  Scene scene;
  scene.entries.record(scene.machine.layout().state + "/nothing");
  CHECK(scene.entries.recorded_origin(scene.machine.layout().state + "/nothing").empty());
  for (const auto& [target, origin] : {std::pair{"/src/app/bin/app", "/src/app"},
                                       std::pair{"../lib/tool", "/usr/local/lib/tool"}}) {
    const std::string directory = scene.machine.layout().state + "/" + base_name(target);
    scene.link(target);
    scene.entries.record(directory);
    CHECK(scene.entries.recorded_origin(directory) == origin);
  }
  scene.machine.fs().remove_file(Machine::kLink);
  scene.machine.write(Machine::kLink, "a script", 0755);
  scene.entries.record(scene.record);
  CHECK(scene.entries.recorded_origin(scene.record) == Machine::kLink);
}

TEST_CASE("a checkout is found behind relative links and links to links") {
  Scene scene;
  const auto behind = [&](const std::string& target) {
    scene.link(target);
    return checkout_behind(scene.machine.fs(), scene.entry(), scene.standing());
  };
  CHECK(behind("/src/app/bin/app") == "/src/app");
  CHECK(behind("../../../src/./app/bin/app") == "/src/app");
  scene.machine.fs().make_link("/src/app/bin/app", "/usr/local/bin/other");
  CHECK(behind("other") == "/src/app");
  CHECK(behind("/src/app/elsewhere") == "");
}

TEST_CASE("another instance's launcher is known for what it is") {
  Scene scene;
  scene.link("/home/anna/.local/state/mcpu/launch/app/app");
  CHECK(foreign_instance(scene.machine.layout(), scene.standing()) ==
        "/home/anna/.local/state/mcpu");
  scene.link(scene.machine.layout().launcher("app", "app"));
  CHECK(foreign_instance(scene.machine.layout(), scene.standing()).empty());
}

TEST_CASE("a record that cannot be read is damage") {
  Scene scene;
  scene.machine.write(scene.record + "/entry-points.json", "{}");
  CHECK_THROWS_AS(scene.entries.put_back(scene.record), Error);
  CHECK_THROWS_AS(scene.entries.recorded_checkout(scene.record), Error);
}

}  // namespace mcpu::adoption_test
