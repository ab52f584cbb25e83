#include "daemon/queries.hpp"

#include <doctest/doctest.h>

#include "daemon/durable.hpp"
#include "tests/job_story.hpp"

namespace mcpu::queries_test {

using nlohmann::json;

namespace {

/// What a machine's daemon would say of it.
struct Asking {
  explicit Asking(Machine& machine) : environment(machine.environment()), engine(machine) {
    instance.user_mode = false;
    instance.layout = machine.layout();
  }
  Queries queries() {
    const auto may_see = [this](std::uint32_t uid) { return peer == 0 || peer == uid; };
    return {environment, instance, now(), engine.state().get(), view, problems, may_see};
  }
  json app(bool verify = false) { return queries().status("app", verify).at("applications").at(0); }

  JobEnvironment environment;
  Engine engine;
  Instance instance;
  QueueView view;
  std::vector<json> problems;
  std::uint32_t peer = 0;  ///< who asks
};

bool names(const json& problems, const std::string& text) {
  return std::ranges::any_of(problems,
                             [&](const json& one) { return contains(one.at("what"), text); });
}

}  // namespace

TEST_CASE("where nothing is installed, status says so without complaining") {
  Machine machine;
  const json app = Asking(machine).app();
  CHECK_FALSE(app.contains("current"));
  CHECK_FALSE(app.contains("back"));
  CHECK(app.at("problems").empty());
  CHECK(app.at("source") == "/src/app");
  CHECK(app.at("last_job").is_null());
}

TEST_CASE("status names the current release, since when, by whom, and the way back") {
  Machine machine(upgraded_machine());
  const json app = Asking(machine).app();
  CHECK(app.at("current").at("version") == "1.1.0");
  CHECK(app.at("by") == "root");
  CHECK(app.at("job") == 2);
  CHECK(app.at("back").at("version") == "1.0.0");
  CHECK(app.at("entry_points").at(0).at("state") == "ok");
  CHECK(app.at("last_job").at("outcome") == "done");
  CHECK(app.at("problems").empty());
}

TEST_CASE("a command that was overwritten is a problem with its remedy") {
  Machine machine(installed_machine());
  machine.fs().remove_file(Machine::kLink);
  machine.write(Machine::kLink, "an old backup", 0755);
  const json app = Asking(machine).app();
  CHECK(app.at("entry_points").at(0).at("state") != "ok");
  REQUIRE(names(app.at("problems"), "/usr/local/bin/app was replaced by something else"));
  CHECK(contains(app.at("problems").at(0).at("remedy"), "'mcpctl repair'"));
}

TEST_CASE("a link into the launcher that lost its launcher is a problem") {
  Machine machine(installed_machine());
  machine.write(machine.layout().launcher("app", "app"), "a backup, written through the link",
                0755);
  CHECK(names(Asking(machine).app().at("problems"), "launcher behind /usr/local/bin/app"));
}

TEST_CASE("a program of the current release that cannot be executed is a problem, by one look") {
  const std::string id = release_of(installed_machine(), "1.0.0");
  const std::string tree = installed_machine().layout().tree("app", id);
  const std::string missing = "its program bin/app of release " + id + " is missing";
  const std::vector<std::pair<std::function<void(FileSystem&)>, std::string>> damages{
      {[&](FileSystem& fs) { fs.remove_file(tree + "/bin/app"); }, missing},
      {[&](FileSystem& fs) { fs.rename(tree, "/elsewhere"); }, missing},
      {[&](FileSystem& fs) { fs.set_mode(tree + "/bin/app", 0644); }, "is not executable"}};
  for (const auto& [damage, text] : damages) {
    Machine machine(installed_machine());
    damage(machine.fs());
    const json app = Asking(machine).app();
    CHECK(app.at("entry_points").at(0).at("state") == "broken");
    REQUIRE(names(app.at("problems"), "/usr/local/bin/app cannot run: "));
    CHECK(names(app.at("problems"), text));
    CHECK(contains(app.at("problems").at(0).at("remedy"), "mcpctl"));
  }
}

TEST_CASE("a program that is a link within the tree runs") {
  Machine machine(installed_machine());
  const std::string tree = machine.layout().tree("app", release_of(machine, "1.0.0"));
  machine.fs().rename(tree + "/bin/app", tree + "/lib/app");
  machine.fs().make_link(tree + "/lib/app", tree + "/bin/app");
  CHECK(Asking(machine).app().at("entry_points").at(0).at("state") == "ok");
}

TEST_CASE("damage is found when one asks for it, file by file") {
  Machine machine(installed_machine());
  damage_release(machine, release_of(machine, "1.0.0"), "lib/part");
  CHECK(Asking(machine).app(false).at("problems").empty());
  const json app = Asking(machine).app(true);
  CHECK(app.at("verified").at("damaged") == json{"lib/part"});
  CHECK(names(app.at("problems"), "file lib/part of release " + release_of(machine, "1.0.0")));
}

TEST_CASE("a release that cannot be read is described by its name, and hides nothing else") {
  Machine machine(upgraded_machine());
  const std::string id = release_of(machine, "1.1.0"), back = release_of(machine, "1.0.0");
  for (const std::string& one : {id, back}) {
    machine.write(machine.layout().release("app", one) + "/release.json", "");
  }
  const json app = Asking(machine).app(true);
  CHECK(app.at("current").at("version") == "1.1.0");
  CHECK(app.at("back").at("release") == back);
  CHECK(app.at("entry_points").at(0).at("state") == "ok");
  const std::string file = machine.layout().release("app", id) + "/release.json";
  CHECK(app.at("verified").at("damaged") == json{file});
  CHECK(names(app.at("problems"), "file " + file + " of release " + id + " is empty"));
}

TEST_CASE("a recipe that the launcher cannot read breaks the command") {
  for (const bool link : {true, false}) {
    Machine machine(installed_machine());
    const std::string recipe =
        machine.layout().release("app", release_of(machine, "1.0.0")) + "/exec/app";
    machine.fs().remove_file(recipe);
    if (link) machine.fs().make_link("nowhere", recipe);
    if (!link) machine.fs().make_directory(recipe, 0755);
    const json app = Asking(machine).app();
    CHECK(app.at("entry_points").at(0).at("state") == "broken");
    REQUIRE(names(app.at("problems"), recipe + " is not a file"));
    CHECK(contains(app.at("problems").at(0).at("remedy"), "'mcpctl upgrade --force'"));
    const json release = Asking(machine).queries().releases("app").at("releases").at(0);
    CHECK(release.at("health") == "damaged");
    CHECK(release.at("current") == true);
  }
}

TEST_CASE("the release that a rollback goes to is compared too") {
  Machine machine(upgraded_machine());
  const std::string back = release_of(machine, "1.0.0");
  CHECK(Asking(machine).app(true).at("verified_back").at("damaged").empty());
  damage_release(machine, back, "lib/part");
  CHECK_FALSE(Asking(machine).app(false).contains("verified_back"));
  const json app = Asking(machine).app(true);
  CHECK(app.at("verified").at("damaged").empty());
  CHECK(app.at("verified_back").at("damaged") == json{"lib/part"});
  REQUIRE(names(app.at("problems"), "release " + back + ", which 'mcpctl rollback' goes to"));
  CHECK(contains(app.at("problems").at(0).at("remedy"), "'mcpctl upgrade --to 1.0.0'"));
}

TEST_CASE("marks of denied releases that cannot be read are a problem with a remedy") {
  Machine machine(installed_machine());
  machine.write(machine.layout().denied("app"), "{", 0600);
  const json problems = Asking(machine).app().at("problems");
  REQUIRE(problems.size() == 1);
  CHECK(problems.at(0).at("file") == machine.layout().denied("app"));
  CHECK(contains(problems.at(0).at("remedy"), "remove it"));
  const json releases = Asking(machine).queries().releases("app").at("releases");
  CHECK(releases.at(0).at("health") == "good");
}

TEST_CASE("a link that names no release is told of once, with the repair that mends it") {
  Machine machine(upgraded_machine());
  link_durably(machine.fs(), "releases/nope", machine.layout().current("app"));
  const json problems = Asking(machine).app().at("problems");
  REQUIRE(problems.size() == 1);
  CHECK(contains(problems.at(0).at("what"), "leads to releases/nope, which is not there"));
  CHECK(problems.at(0).at("remedy") == "run 'mcpctl repair'");
}

TEST_CASE("where the release in use is gone, status says to upgrade") {
  Machine machine(installed_machine());
  const std::string id = release_of(machine, "1.0.0");
  machine.fs().rename(machine.layout().release("app", id), "/elsewhere");
  const json app = Asking(machine).app();
  CHECK(app.at("entry_points").at(0).at("state") == "broken");
  REQUIRE(names(app.at("problems"), "leads to releases/" + id + ", which is not there"));
  CHECK(app.at("problems").at(0).at("remedy") == "run 'mcpctl upgrade'");
}

TEST_CASE("jobs are those of the application that is named, or all") {
  Machine machine(upgraded_machine());
  Asking asking(machine);
  CHECK(asking.queries().jobs("app", 10).at("jobs").size() == 2);
  JobRecord other;
  other.id = 3;
  other.request.app = "other";
  other.queued_at = now();
  asking.engine.records().create(other);
  CHECK(asking.queries().jobs("", 10).at("jobs").size() == 3);
  CHECK(asking.queries().jobs("app", 1).at("jobs").at(0).at("job") == 2);
  CHECK(error_of([&] { asking.queries().jobs("nope", 10); }).code() == Code::kNotFound);
}

TEST_CASE("status and jobs name a job whose record cannot be read, and what to do") {
  Machine machine(upgraded_machine());
  machine.write(machine.layout().job_file(1), "{", 0600);
  Asking asking(machine);
  for (const json& reply : {asking.queries().status("", false), asking.queries().jobs("", 10)}) {
    REQUIRE(names(reply.at("problems"), "record of job 1 cannot be read"));
    CHECK(contains(reply.at("problems").at(0).at("remedy"), machine.layout().job(1)));
  }
  remove_tree(machine.fs(), machine.layout().job(1));
  CHECK(asking.queries().status("", false).at("problems").empty());
}

TEST_CASE("a newer release is named, and why it is not taken if it is denied") {
  Machine machine(installed_machine());
  machine.check_by(
      [](const CheckRun& run) { return contains(run.program, "/1.1.0-") ? failing() : passing(); });
  Asking asking(machine);
  REQUIRE(asking.engine.run(upgrade_request()).outcome == Outcome::kFailed);
  const json app = asking.app();
  CHECK(app.at("newer") == "1.1.0");
  CHECK(app.at("withheld") == "denied: it failed check 'app --help' in job 2");
  REQUIRE(names(app.at("problems"), "version 1.1.0 failed check 'app --help' in job 2"));
  CHECK(contains(app.at("problems").at(0).at("remedy"), "'mcpctl logs 2 -v'"));
}

TEST_CASE("a newer release that is held says by what") {
  Machine machine(installed_machine());
  run_well(machine, upgrade_request());
  CHECK_FALSE(Asking(machine).app().contains("withheld"));
  run_well(machine, rollback_request());
  const json app = Asking(machine).app();
  CHECK(app.at("newer") == "1.1.0");
  CHECK(app.at("withheld") == "held: rolled back from in job 3");
}

TEST_CASE("release information that cannot be read is a problem, not the end of status") {
  Machine machine(installed_machine());
  machine.write(machine.layout().release("app", release_of(machine, "1.0.0")) + "/release.json",
                "rubbish", 0644);
  Asking asking(machine);
  json app;
  CHECK_NOTHROW(app = asking.app());
  CHECK_FALSE(app.at("problems").empty());
  const json releases = asking.queries().releases("app").at("releases");
  REQUIRE(releases.size() == 1);
  CHECK(releases.at(0).at("health") == "damaged");
}

TEST_CASE("jobs are listed newest first, at most as many as asked for") {
  Machine machine(upgraded_machine());
  const json jobs = Asking(machine).queries().jobs("", 10).at("jobs");
  REQUIRE(jobs.size() == 2);
  CHECK(jobs.at(0).at("job") == 2);
  CHECK(jobs.at(0).at("state") == "finished");
  CHECK(jobs.at(0).at("release") == release_of(machine, "1.1.0"));
  CHECK(Asking(machine).queries().jobs("", 1).at("jobs").size() == 1);
}

TEST_CASE(
    "what came of a home is told in full to its owner and root, to others only whose it was") {
  Machine machine(upgraded_machine());
  Asking asking(machine);
  JobRecords records(machine.fs(), machine.layout());
  JobRecord record = *records.read(2);
  record.result->message = "~/.app/secrets.json of anna is no file";
  record.result->details = {{"context", {{"concerns", 1001U}, {"user", "anna"}}}};
  records.write(record);
  for (const auto& [peer, told] : {std::pair{0U, true}, {1001U, true}, {1002U, false}}) {
    asking.peer = peer;
    const std::string message = asking.queries().jobs("", 1).at("jobs").at(0).at("message");
    CHECK(contains(message, "secrets.json") == told);
    CHECK(contains(message, "anna"));
  }
}

TEST_CASE("a job that waits has its place, one that runs its phase") {
  Machine machine(installed_machine());
  Asking asking(machine);
  JobRecord waiting, running;
  running.id = 8;
  waiting.id = 9;
  running.request = waiting.request = upgrade_request();
  asking.view.running = running;
  asking.view.phase = Phase::kStage;
  asking.view.waiting = {waiting};
  const json status = asking.queries().status("", false);
  CHECK(status.at("running").at("state") == "running");
  CHECK(status.at("running").at("phase") == "stage");
  CHECK(status.at("queued").at(0).at("state") == "queued");
  CHECK(status.at("queued").at(0).at("position") == 1);
}

TEST_CASE("a job whose result is known has ended, though the queue does not know yet") {
  Machine machine(upgraded_machine());
  Asking asking(machine);
  asking.view.running = JobRecord();
  asking.view.running->id = 2;
  const json status = asking.queries().status("", false);
  CHECK_FALSE(status.contains("running"));
  CHECK(asking.queries().jobs("", 1).at("jobs").at(0).at("state") == "finished");
}

TEST_CASE("releases say why they are kept, and which are pinned, held and denied") {
  Machine machine(upgraded_machine());
  const std::string old = release_of(machine, "1.0.0"), present = release_of(machine, "1.1.0");
  Asking asking(machine);
  asking.engine.state().update([&](State& state) {
    state.applications["app"].pins = {old};
    state.applications["app"].holds[old] = {"held by anna", now()};
  });
  const json releases = asking.queries().releases("app").at("releases");
  REQUIRE(releases.size() == 2);
  CHECK(releases.at(0).at("release") == present);
  CHECK(releases.at(0).at("current").get<bool>());
  CHECK(releases.at(0).at("health") == "good");
  CHECK_FALSE(releases.at(0).at("kept_by").empty());
  CHECK(releases.at(1).at("pinned").get<bool>());
  CHECK(releases.at(1).at("held").get<bool>());
}

TEST_CASE("a copy that pip installed is a problem with the line that removes it") {
  Machine machine(installed_machine());
  machine.app().recognize = {"app_code.commands"};
  const std::string packages = "/usr/local/lib/python3.11/dist-packages";
  machine.write("/usr/local/lib/python3.11/dist-packages/app_code/main.py",
                "import app_code.commands");
  machine.write(packages + "/my_app-1.2.dist-info/RECORD",
                "../../../bin/app,sha256=x,9\napp_code/main.py,sha256=y,24\n");
  const json app = Asking(machine).app();
  REQUIRE(names(app.at("problems"), "my_app 1.2, installed with pip, is another copy of app"));
  CHECK(contains(app.at("problems").at(0).at("remedy"), "sudo python3.11 -m pip uninstall my_app"));
}

}  // namespace mcpu::queries_test
