#include "daemon/preflight.hpp"

#include <doctest/doctest.h>

#include "proto/message_catalogue.hpp"
#include "tests/job_story.hpp"

namespace mcpu::preflight_test {

namespace {

/// Prepares a job and looks whether it could be done.
struct Looking {
  explicit Looking(Machine& machine) : environment(machine.environment()), engine(machine) {}

  void look(const JobRequest& request = upgrade_request()) {
    const auto state = engine.state().get();
    JobRecord record;
    record.id = 9;
    record.request = request;
    const PreparedJob job = JobPlanner(environment, *state, log, nullptr).prepare(record);
    preflight(environment, job, log, nullptr);
  }
  std::string refusal(const JobRequest& request = upgrade_request()) {
    const Error error = error_of([&] { look(request); });
    CHECK(error.code() == Code::kRefused);
    return error.what();
  }
  bool warned(const std::string& id) const {
    return std::ranges::any_of(log.collected(), [&](const Notice& one) { return one.id == id; });
  }

  JobEnvironment environment;
  Engine engine;
  JobLog log;
};

}  // namespace

TEST_CASE("a healthy machine passes, and nothing on it is changed") {
  Machine machine(installed_machine());
  Looking looking(machine);
  const auto calls = machine.fs().changing_calls();
  looking.look();
  looking.look(full_request());
  CHECK(looking.warned("preflight.passed"));
  CHECK(machine.fs().changing_calls() == calls);
}

TEST_CASE("too little space is refused with what is free and what is needed") {
  Machine machine;
  machine.fs().set_space({.free_bytes = 10 << 20, .read_only = false, .no_exec = false});
  const std::string refusal = Looking(machine).refusal();
  CHECK(contains(refusal, "not enough space for /var/lib/mcpu: " + format_bytes(10 << 20)));
  CHECK(contains(refusal, format_bytes(50 << 20) + " needed for the release and the way back"));
}

TEST_CASE("a full upgrade wants more space free than a quick one") {
  Machine machine;
  machine.fs().set_space({.free_bytes = 70 << 20, .read_only = false, .no_exec = false});
  Looking looking(machine);
  CHECK_NOTHROW(looking.look());
  CHECK(contains(looking.refusal(full_request()), "not enough space"));
}

TEST_CASE("a rollback needs room for itself alone") {
  Machine machine(installed_machine());
  machine.offer("1.1.0");
  run_well(machine, upgrade_request());
  machine.fs().set_space({.free_bytes = 10 << 20, .read_only = false, .no_exec = false});
  CHECK_NOTHROW(Looking(machine).look(rollback_request()));
  machine.fs().set_space({.free_bytes = 1 << 20, .read_only = false, .no_exec = false});
  CHECK(contains(Looking(machine).refusal(rollback_request()), "not enough space"));
}

TEST_CASE("a release that is larger than the floor needs its own size") {
  Machine machine;
  machine.configuration().limits.quick_free_bytes = 1 << 20;
  machine.offer_file("lib/large", std::string(3 << 20, 'x'));
  machine.fs().set_space({.free_bytes = 6 << 20, .read_only = false, .no_exec = false});
  CHECK(contains(Looking(machine).refusal(), "not enough space"));
}

TEST_CASE("a state directory from which nothing can run is refused") {
  Machine machine;
  machine.fs().set_space({.free_bytes = 1ULL << 40, .read_only = false, .no_exec = true});
  CHECK(contains(Looking(machine).refusal(), "mounted noexec"));
}

TEST_CASE("a directory for links that cannot be written is refused with link and remedy") {
  Machine machine;
  machine.fs().set_space({.free_bytes = 1ULL << 40, .read_only = true, .no_exec = false});
  Looking looking(machine);
  looking.environment.user_mode = true;
  const std::string refusal = looking.refusal();
  CHECK(
      contains(refusal, "cannot write /usr/local/bin, where the link /usr/local/bin/app belongs"));
  CHECK(contains(refusal, "applications.app.entry_points"));
  CHECK_FALSE(contains(refusal, "systemctl"));
  looking.environment.user_mode = false;
  CHECK(contains(looking.refusal(), "ReadWritePaths=/usr/local/bin with 'systemctl edit"));
}

TEST_CASE("a file where the directory for links should be is refused") {
  Machine machine;
  machine.fs().remove_directory("/usr/local/bin");
  machine.write("/usr/local/bin", "a file");
  CHECK(contains(Looking(machine).refusal(), "/usr/local/bin is not a directory"));
}

TEST_CASE("a command of the same name that is something else is not replaced") {
  Machine machine;
  machine.app().recognize = {"app in "};
  machine.write(Machine::kLink, "another program", 0755);
  Looking looking(machine);
  CHECK(contains(looking.refusal(),
                 "/usr/local/bin/app is something else than app (its content is not recognized)"));
  machine.write(Machine::kLink, "app in a single file", 0755);
  CHECK_NOTHROW(looking.look());
}

TEST_CASE("what a link leads to is judged, not the link's name") {
  Machine machine;
  machine.app().recognize = {"app in "};
  machine.write("/opt/other/bin/app", "another program", 0755);
  link_durably(machine.fs(), "/opt/other/bin/app", Machine::kLink);
  Looking looking(machine);
  CHECK(contains(looking.refusal(), "is something else than app"));
  machine.write("/opt/other/bin/app", "app in a checkout", 0755);
  CHECK_NOTHROW(looking.look());
  link_durably(machine.fs(), "/opt/other/something", Machine::kLink);
  CHECK(contains(looking.refusal(), "is something else than app"));
}

TEST_CASE("an entry point of another instance is refused and that instance named") {
  Machine machine;
  link_durably(machine.fs(), "/home/anna/.state/launch/app/app", Machine::kLink);
  CHECK(contains(Looking(machine).refusal(),
                 "belongs to another instance of mcp-upgraded, with its state in "
                 "/home/anna/.state"));
}

TEST_CASE("a directory where the command belongs is refused") {
  Machine machine;
  make_directories(machine.fs(), Machine::kLink, 0755);
  CHECK(contains(Looking(machine).refusal(), "is neither a file nor a link: move it away"));
}

TEST_CASE("services that cannot be restarted are refused before anything is changed") {
  Machine machine;
  machine.app().services = {"app.service"};
  CHECK(contains(Looking(machine).refusal(), "applications.app.services"));
}

TEST_CASE("a full upgrade refuses a machine without what the application needs") {
  Machine machine;
  machine.app().requirements = {{"python3", {"--version"}, "3.11"}};
  std::string printed = "Python 3.9.2";
  machine.check_by([&](const CheckRun& run) {
    CheckResult result = passing();
    if (run.name == "python3") result.output = printed;
    return result;
  });
  Looking looking(machine);
  CHECK_NOTHROW(looking.look());
  CHECK(looking.refusal(full_request()) == "app needs python3 3.11 or newer (here it is 3.9.2)");
  printed = "Python 3.11.0";
  CHECK_NOTHROW(looking.look(full_request()));
  machine.check_by([](const CheckRun&) { return failing(); });
  CHECK(looking.refusal(full_request()) ==
        "app needs 'python3', which does not run here (exit code 1)");
}

TEST_CASE("all missing requirements are named, and only what was checked is said to be met") {
  Machine machine;
  machine.app().requirements = {
      {"python3", {"--version"}, "3.11"}, {"jq", {"--version"}, ""}, {"git", {"--version"}, "2.0"}};
  const auto said = [&](const JobRequest& request) {
    Looking looking(machine);
    looking.look(request);
    const Notice& last = looking.log.collected().back();
    REQUIRE(last.id == "preflight.passed");
    return render_message(last.id, last.fields);
  };
  machine.check_by([](const CheckRun&) { return passing(); });
  CHECK_FALSE(contains(said(upgrade_request()), "requirements"));
  CHECK(contains(said(full_request()), "there is room, "));
  CHECK(contains(said(full_request()), "requirements are met"));
  machine.check_by([](const CheckRun& run) {
    CheckResult result = run.name == "jq" ? failing() : passing();
    if (run.name == "python3") result.output = "Python 3.9.2";
    if (run.name == "git") result.output = "git version 2.39.5";
    return result;
  });
  CHECK(Looking(machine).refusal(full_request()) ==
        "app needs python3 3.11 or newer (here it is 3.9.2), and 'jq', which does not run here "
        "(exit code 1)");
  machine.app().requirements.clear();
  CHECK_FALSE(contains(said(full_request()), "requirements"));
}

TEST_CASE("a mistake in a configuration file is a warning of a full upgrade, and no more") {
  Machine machine;
  machine.write(Machine::kHome + "/" + Machine::kSettings, "{}");
  Looking whole(machine);
  whole.look(full_request());
  CHECK_FALSE(whole.warned("preflight.problem"));
  machine.write(Machine::kHome + "/" + Machine::kSettings, "{\"servers\": ");
  Looking broken(machine);
  broken.look(full_request());
  REQUIRE(broken.warned("preflight.problem"));
  for (const Notice& notice : broken.log.collected()) {
    if (notice.id != "preflight.problem") continue;
    CHECK(contains(notice.fields.at("reason"), Machine::kSettings));
  }
}

}  // namespace mcpu::preflight_test
