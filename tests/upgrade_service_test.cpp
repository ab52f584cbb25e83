#include "daemon/upgrade_service.hpp"

#include <doctest/doctest.h>

#include <semaphore>
#include <thread>

#include "tests/job_story.hpp"

namespace mcpu::upgrade_service_test {

using nlohmann::json;
using namespace std::chrono_literals;

namespace {

constexpr auto kSoon = 20s;  // never reached when all is well

const Peer kRoot{};
const Peer kStranger{.uid = 54321, .gid = 54321, .pid = 1, .groups = {}, .login_uid = {}};

/// The daemon's engine on a machine, with its own thread, in system mode.
struct Serving {
  explicit Serving(Machine& machine)
      : service(machine.tools(), instance_of(machine), machine.environment().configuration) {
    service.start();
  }
  static Instance instance_of(const Machine& machine) {
    Instance instance;
    instance.user_mode = false;
    instance.layout = machine.layout();
    return instance;
  }

  JobResult wait_for(JobId job) {
    const auto deadline = std::chrono::steady_clock::now() + kSoon;
    while (std::chrono::steady_clock::now() < deadline) {
      if (const auto result = service.result(job)) return *result;
      std::this_thread::yield();
    }
    FAIL("job " << job << " has no result");
    return {};
  }
  /// A job's result is there a moment before the queue is done with it.
  void wait_until_idle() {
    const auto deadline = std::chrono::steady_clock::now() + kSoon;
    while (!service.idle() && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    REQUIRE(service.idle());
  }
  JobResult run(const JobRequest& request) { return wait_for(service.submit(request, kRoot).job); }
  json app() { return service.status("app", false, kRoot).at("applications").at(0); }

  UpgradeService service;
};

/// Holds the first check of a job until it is let go.
struct Gate {
  explicit Gate(Machine& machine) {
    machine.check_by([this](const CheckRun&) {
      if (!passed) {
        passed = true;
        reached.release();
        CHECK(go_on.try_acquire_for(kSoon));
      }
      return passing();
    });
  }
  std::binary_semaphore reached{0}, go_on{0};
  bool passed = false;
};

}  // namespace

TEST_CASE("a stranger may look at everything and change nothing") {
  Machine machine(installed_machine());
  Serving serving(machine);
  for (const auto& change : std::vector<std::function<void()>>{
           [&] { serving.service.submit(upgrade_request(), kStranger); },
           [&] { serving.service.plan(upgrade_request(), kStranger); },
           [&] { serving.service.cancel(1, kStranger); },
           [&] { serving.service.mark("app", "pin", "1.0.0", kStranger); }}) {
    CHECK(error_of(change).code() == Code::kNotAuthorized);
  }
  CHECK(serving.service.status("", false, kStranger).at("applications").size() == 1);
  CHECK(serving.service.jobs("", 10, kStranger).at("jobs").size() == 1);
  CHECK(serving.service.releases("app", kStranger).at("releases").size() == 1);
}

TEST_CASE("a request ends with its result, and numbers go on from job to job") {
  Machine machine(installed_machine());
  Serving serving(machine);
  serving.wait_until_idle();
  const Ticket ticket = serving.service.submit(upgrade_request(), kRoot);
  CHECK(ticket.job == 2);
  CHECK(ticket.disposition == "started");
  CHECK(serving.wait_for(2).outcome == Outcome::kDone);
  CHECK(machine.runs() == "app 1.1.0");
  CHECK(serving.service.next_job(1) == 2);
  CHECK(serving.service.next_job(2) == 0);
}

TEST_CASE("the same request id is the same job, also long after its end") {
  Machine machine(installed_machine());
  JobRequest request = upgrade_request();
  request.request_id = "once";
  {
    Serving serving(machine);
    REQUIRE(serving.run(request).outcome == Outcome::kDone);
  }
  Serving later(machine);
  const Ticket again = later.service.submit(request, kRoot);
  CHECK(again.job == 2);
  CHECK(again.disposition == "joined");
}

TEST_CASE("while a job runs the same request joins it, and impatient ones are told who is busy") {
  Machine machine(installed_machine());
  Gate gate(machine);
  Serving serving(machine);
  const Ticket first = serving.service.submit(upgrade_request(), kRoot);
  REQUIRE(gate.reached.try_acquire_for(kSoon));
  const Ticket second = serving.service.submit(upgrade_request(), kRoot);
  CHECK(second.job == first.job);
  CHECK(second.disposition == "joined");
  JobRequest impatient = full_request();
  impatient.no_wait = true;
  const Error busy = error_of([&] { serving.service.submit(impatient, kRoot); });
  CHECK(busy.code() == Code::kBusy);
  CHECK(busy.context().at("job") == first.job);
  CHECK(busy.context().at("owner") == "root");
  const Ticket third = serving.service.submit(full_request(), kRoot);
  CHECK(third.disposition == "queued");
  CHECK(third.position == 1);
  CHECK_FALSE(serving.service.idle());
  gate.go_on.release();
  CHECK(serving.wait_for(first.job).outcome == Outcome::kDone);
  CHECK(serving.wait_for(third.job).outcome == Outcome::kNothingToDo);
}

TEST_CASE("cancelling undoes a running job, drops a waiting one, and comes too late for others") {
  Machine machine(installed_machine());
  const auto before = machine.picture();
  Gate gate(machine);
  Serving serving(machine);
  const JobId running = serving.service.submit(upgrade_request(), kRoot).job;
  REQUIRE(gate.reached.try_acquire_for(kSoon));
  const JobId waiting = serving.service.submit(full_request(), kRoot).job;
  CHECK(serving.service.cancel(waiting, kRoot).at("state") == "cancelled");
  const json answer = serving.service.cancel(0, kRoot);
  CHECK(answer.at("state") == "cancelling");
  CHECK(answer.at("job") == running);
  CHECK(answer.at("message") == "job 2 is being cancelled and undone");
  gate.go_on.release();
  CHECK(serving.wait_for(running).outcome == Outcome::kCancelled);
  CHECK(serving.wait_for(waiting).outcome == Outcome::kCancelled);
  serving.wait_until_idle();
  CHECK(machine.picture() == before);
  const json late = serving.service.cancel(1, kRoot);
  CHECK(late.at("state") == "committed");
  CHECK(late.at("message") == "too late, job 1 is committed: 'mcpctl rollback' goes back");
  CHECK(contains(error_of([&] { serving.service.cancel(running, kRoot); }).what(),
                 "has already ended"));
  CHECK(error_of([&] { serving.service.cancel(99, kRoot); }).code() == Code::kNotFound);
}

TEST_CASE("who waits for what a start may recover is woken, also where there is nothing") {
  Machine machine(installed_machine());
  std::binary_semaphore woken{0};
  std::atomic<bool> told{false};
  UpgradeService service(machine.tools(), Serving::instance_of(machine),
                         machine.environment().configuration);
  service.events().on_durable([&] {
    if (service.settled() && !told.exchange(true)) woken.release();
  });
  service.start();
  CHECK(woken.try_acquire_for(kSoon));
  service.stop();
}

TEST_CASE("what cannot be done is refused before it gets a number") {
  Machine machine(installed_machine());
  Serving serving(machine);
  CHECK(error_of([&] { serving.service.submit(rollback_request(), kRoot); }).code() ==
        Code::kNothingToRollBack);
  JobRequest other = upgrade_request();
  other.app = "other";
  CHECK(error_of([&] { serving.service.submit(other, kRoot); }).code() == Code::kNotFound);
  CHECK(serving.service.jobs("", 10, kRoot).at("jobs").size() == 1);
}

TEST_CASE("a plan says what would happen, makes no job and changes nothing") {
  Machine machine(installed_machine());
  const auto before = machine.picture();
  Serving serving(machine);
  const json reply = serving.service.plan(upgrade_request(), kRoot);
  CHECK(reply.at("to").at("version") == "1.1.0");
  CHECK(machine.picture() == before);
  CHECK(serving.service.jobs("", 10, kRoot).at("jobs").size() == 1);
}

TEST_CASE("pins and holds are known to status, survive a restart and can be taken back") {
  Machine machine(installed_machine());
  const std::string id = release_of(machine, "1.0.0");
  {
    Serving serving(machine);
    CHECK(serving.service.mark("app", "pin", "1.0.0", kRoot).at("message") ==
          "release " + id + " is pinned: it is never removed");
    CHECK(serving.service.mark("app", "hold", "", kRoot).at("message") ==
          "unattended upgrades of app on hold until 'mcpctl unhold'");
    CHECK(serving.service.mark("app", "hold", "1.0.0", kRoot).at("message") ==
          "release " + id + " on hold until 'mcpctl unhold " + id + "'");
    serving.service.mark("app", "unhold", id, kRoot);
    CHECK(error_of([&] { serving.service.mark("app", "pin", "9.9", kRoot); }).code() ==
          Code::kNotFound);
  }
  Serving serving(machine);
  CHECK(serving.app().at("paused").get<bool>());
  CHECK(serving.service.releases("app", kRoot).at("releases").at(0).at("pinned").get<bool>());
  JobRequest unattended = upgrade_request();
  unattended.unattended = true;
  CHECK(serving.run(unattended).outcome == Outcome::kNothingToDo);
  CHECK(machine.runs() == "app 1.0.0");
  serving.service.mark("app", "unhold", "", kRoot);
  unattended.request_id = "another";
  CHECK(serving.run(unattended).outcome == Outcome::kDone);
}

TEST_CASE("with a damaged state nothing is changed, and status says what to do") {
  Machine machine(installed_machine());
  machine.write(machine.layout().state_file(), "rubbish", 0600);
  const auto before = machine.picture();
  Serving serving(machine);
  const Error refusal = error_of([&] { serving.service.submit(upgrade_request(), kRoot); });
  CHECK(refusal.code() == Code::kRefused);
  CHECK(contains(refusal.what(), "Nothing is changed before that is settled"));
  CHECK(error_of([&] { serving.service.mark("app", "hold", "", kRoot); }).code() == Code::kRefused);
  const json problems = serving.service.status("", false, kRoot).at("problems");
  REQUIRE_FALSE(problems.empty());
  CHECK(contains(
      problems.at(0).at("what").get<std::string>() + problems.at(0).at("remedy").get<std::string>(),
      "state.json"));
  CHECK(machine.picture() == before);
}

TEST_CASE("a home that is away keeps a recovery pending: status names it, changes are refused") {
  Machine machine(installed_machine());
  const Ordeal ordeal{machine, upgrade_request(), 2};
  const std::uint64_t late = Alternatives(ordeal).calls() * 2 / 3;
  REQUIRE_FALSE(run_until_stopped(machine, ordeal, late, Loss::kNothing).empty());
  machine.fs().rename(Machine::kHome, "/elsewhere");
  Serving serving(machine);
  // Takes its turn behind the recovery, so that one is over, or says that it is not.
  const Error error = error_of([&] {
    JobRequest request = upgrade_request();
    request.wait = std::chrono::seconds(1);
    serving.service.plan(request, kRoot);
  });
  CHECK(error.code() == Code::kBusy);
  CHECK(contains(serving.service.status("", false, kRoot).at("problems").dump(), Machine::kHome));
  for (const std::string& told :
       {serving.service.status("", false, kStranger).at("problems").dump(),
        serving.service.jobs("", 1, kStranger).dump(), serving.service.activity()}) {
    CHECK_MESSAGE(contains(told, "something in the home of root cannot be put back yet"), told);
    CHECK_MESSAGE(!contains(told, Machine::kHome), told);
  }
  const Error refusal = error_of([&] { serving.service.submit(upgrade_request(), kRoot); });
  CHECK(refusal.code() == Code::kRefused);
  CHECK(contains(refusal.what(), "an earlier job is not fully ended yet"));
}

TEST_CASE("a disk that fills up after the commit keeps nobody waiting, and is tried again") {
  Machine machine(installed_machine());
  const std::string state = machine.layout().state + "/.state.json.tmp";
  bool filled = false;
  machine.check_by([&](const CheckRun&) {
    // Behind the switch: the next one to write state.json is the end of the committed job.
    if (!filled && machine.runs() == "app 1.1.0") {
      filled = true;
      machine.fs().fail_below(state, 1, ENOSPC, UINT64_MAX);
    }
    return passing();
  });
  Serving serving(machine);
  const JobId job = serving.service.submit(upgrade_request(), kRoot).job;
  const JobResult pending = serving.wait_for(job);
  INFO(pending.message);
  CHECK(pending.outcome == Outcome::kNotRestored);
  CHECK(contains(pending.message, "free some space there"));
  CHECK(machine.runs() == "app 1.1.0");

  // Whoever asks for something new has it tried at once.
  machine.fs().fail_below("", 0, 0);
  machine.offer("1.2.0");
  CHECK(serving.run(upgrade_request()).outcome == Outcome::kDone);
  CHECK(serving.service.result(job)->outcome == Outcome::kDone);
  CHECK(machine.runs() == "app 1.2.0");
}

TEST_CASE("a job's record keeps the name of what it was for, whatever is configured later") {
  Machine machine(installed_machine());
  Serving serving(machine);
  JobRequest unnamed = upgrade_request();
  unnamed.app.clear();
  REQUIRE(serving.run(unnamed).outcome == Outcome::kDone);
  serving.wait_until_idle();
  CHECK(serving.app().at("last_job").at("job") == 2);
  auto other = std::make_shared<Configuration>(machine.configuration());
  other->applications.push_back(other->applications.front());
  other->applications.front().name = "mcp";
  other->applications.back().name = "greet";
  serving.service.reload(other);
  CHECK(serving.service.jobs("", 1, kRoot).at("jobs").at(0).at("app") == "app");
  const json status = serving.service.status("", false, kRoot);
  for (const json& app : status.at("applications")) {
    CHECK(app.at("last_job").is_null());
  }
}

TEST_CASE("a new configuration is for the next job") {
  Machine machine(installed_machine());
  Serving serving(machine);
  auto changed = std::make_shared<Configuration>(*machine.environment().configuration);
  changed->applications.front().services = {"app.service"};
  serving.service.reload(changed);
  const JobResult result = serving.run(upgrade_request());
  CHECK(result.outcome == Outcome::kRefused);
  CHECK(contains(result.message, "applications.app.services"));
}

}  // namespace mcpu::upgrade_service_test
