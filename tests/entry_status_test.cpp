#include "daemon/entry_status.hpp"

#include <doctest/doctest.h>

#include "tests/job_story.hpp"

namespace mcpu::entry_status_test {

using nlohmann::json;

namespace {

struct Shown {
  std::string state, what, remedy;
};

/// How the command of a machine's application stands.
Shown shown(Machine& machine, bool installed = true) {
  json document{{"entry_points", json::array()}, {"problems", json::array()}};
  const Possession possession{machine.store().current().value_or(""), installed};
  add_entry_status(machine.environment(), machine.app(), machine.app().entry_points.front(),
                   possession, document);
  Shown one{document.at("entry_points").at(0).at("state"), "", ""};
  if (document.at("problems").empty()) return one;
  one.what = document.at("problems").at(0).at("what");
  one.remedy = document.at("problems").at(0).at("remedy");
  return one;
}

}  // namespace

TEST_CASE("a command in place is ok, one that was never adopted is as before") {
  Machine machine(installed_machine());
  CHECK(shown(machine).state == "ok");
  CHECK(shown(machine).what.empty());
  Machine fresh;
  CHECK(shown(fresh, false).state == "before");
  CHECK(shown(fresh, false).what.empty());
}

TEST_CASE("a link that is gone or leads elsewhere is a problem that an upgrade mends") {
  Machine machine(installed_machine());
  machine.fs().remove_file(Machine::kLink);
  CHECK(shown(machine).state == "absent");
  CHECK(contains(shown(machine).remedy, "'mcpctl repair'"));
  machine.write(Machine::kLink, "an old backup", 0755);
  CHECK(shown(machine).state == "foreign");
  CHECK(contains(shown(machine).remedy, "'mcpctl repair'"));
}

TEST_CASE("where no upgrade would replace what stands there, the remedy is another one") {
  Machine machine(installed_machine());
  machine.app().recognize = {"the app"};
  machine.fs().remove_file(Machine::kLink);
  machine.write(Machine::kLink, "another program", 0755);
  CHECK(shown(machine).state == "foreign");
  CHECK(contains(shown(machine).remedy, "move it away"));
}

TEST_CASE("a command whose launcher or whose release is gone is broken") {
  Machine machine(installed_machine());
  const std::string launcher = machine.layout().launcher("app", "app");
  machine.fs().remove_file(machine.layout().current("app"));
  CHECK(shown(machine).state == "broken");
  machine.fs().remove_file(launcher);
  CHECK(shown(machine).state == "broken");
  CHECK(contains(shown(machine).what, "launcher"));
  machine.fs().remove_directory(machine.layout().launch("app"));
  machine.fs().make_link("/nowhere", machine.layout().launch("app"));
  CHECK(contains(shown(machine).remedy, "remove it, then run 'mcpctl repair'"));
}

}  // namespace mcpu::entry_status_test
