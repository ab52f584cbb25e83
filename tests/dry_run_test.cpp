#include "daemon/dry_run.hpp"

#include <doctest/doctest.h>

#include "tests/job_story.hpp"

namespace mcpu::dry_run_test {

using nlohmann::json;

namespace {

json dry_run(Machine& machine, const JobRequest& request) {
  const JobEnvironment environment = machine.environment();
  Engine engine(machine);
  JobRecord record;
  record.id = 9;
  record.request = request;
  record.by = "root";
  return JobRunner(environment, engine.state(), engine.events()).dry_run(record, Cancellation());
}

std::vector<std::string> all(const json& list, const char* key) {
  std::vector<std::string> values;
  for (const json& one : list) values.push_back(one.at(key));
  return values;
}

}  // namespace

TEST_CASE("a dry run says what would change and changes nothing at all") {
  Machine machine(installed_machine());
  const auto before = machine.picture();
  const json reply = dry_run(machine, upgrade_request());
  CHECK(machine.picture() == before);
  CHECK_FALSE(machine.fs().info(machine.layout().job(2)));
  CHECK(machine.temporary_files().empty());
  CHECK_FALSE(reply.at("nothing_to_do").get<bool>());
  CHECK(reply.at("from").at("version") == "1.0.0");
  CHECK(reply.at("to").at("version") == "1.1.0");
  CHECK(reply.at("changed_files") == 3);
  CHECK(reply.at("changes").at(0) == json{{"path", "CHANGELOG.md"}, {"change", "changed"}});
  CHECK(all(reply.at("saves"), "path") ==
        std::vector<std::string>{"~/" + Machine::kSettings, "~/.app/keys.toml"});
  CHECK(reply.at("steps").at(0) == "stage");
  CHECK(reply.at("problems").empty());
  CHECK(reply.at("space").at("needed_bytes") == 50 << 20);
}

TEST_CASE("a dry run names the checks of each phase") {
  Machine machine(installed_machine());
  machine.app().deep_checks = {
      {"app doctor", "app", {"doctor"}, std::chrono::seconds(10), {}, {0}, false}};
  CHECK(all(dry_run(machine, upgrade_request()).at("checks"), "check") ==
        std::vector<std::string>{"app --help", "app status", "app --help"});
  const json full = dry_run(machine, full_request()).at("checks");
  CHECK(all(full, "check") ==
        std::vector<std::string>{"app --help", "app status", "app doctor", "app --help"});
  CHECK(all(full, "phase").back() == "post-check");
  CHECK(full.at(2).at("command") == json{"app", "doctor"});
}

TEST_CASE("a dry run of a rollback runs nothing before the switch") {
  Machine machine(upgraded_machine());
  const json reply = dry_run(machine, rollback_request());
  CHECK(reply.at("to").at("version") == "1.0.0");
  CHECK(all(reply.at("checks"), "phase") == std::vector<std::string>{"post-check"});
}

TEST_CASE("what would be refused is a problem of the dry run, not its error") {
  Machine machine(installed_machine());
  machine.fs().set_space({.free_bytes = 1 << 20, .read_only = false, .no_exec = false});
  const json reply = dry_run(machine, upgrade_request());
  REQUIRE_FALSE(reply.at("problems").empty());
  CHECK(contains(reply.at("problems").at(0).at("what"), "not enough space"));
  CHECK(contains(reply.at("message"), "not enough space"));
}

TEST_CASE("nothing to do is said with its reason and without steps") {
  Machine machine(installed_machine());
  machine.offer("1.0.0");
  const json reply = dry_run(machine, upgrade_request());
  CHECK(reply.at("nothing_to_do").get<bool>());
  CHECK(contains(reply.at("message"), "already up to date"));
  CHECK(reply.at("steps").empty());
}

TEST_CASE("nothing to do is said of the kind of job that was asked for") {
  Machine machine(installed_machine());
  JobRequest repair;
  repair.kind = JobKind::kRepair;
  JobRequest there = rollback_request();
  there.to = "1.0.0";
  for (const JobRequest& request : {repair, there}) {
    const json reply = dry_run(machine, request);
    CHECK(reply.at("nothing_to_do").get<bool>());
    CHECK(reply.at("kind") == kind_name(request.kind));
  }
}

TEST_CASE("a long list of changes is cut, and counted as a whole") {
  Machine machine(installed_machine());
  for (int i = 0; i < 300; ++i) machine.offer_file("lib/" + std::to_string(i), "x");
  const json reply = dry_run(machine, upgrade_request());
  CHECK(reply.at("changes").size() == 200);
  CHECK(reply.at("changed_files") == 303);
}

}  // namespace mcpu::dry_run_test
