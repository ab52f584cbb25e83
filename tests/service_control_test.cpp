#include "daemon/service_control.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <mutex>
#include <set>

#include "daemon/queries.hpp"

#include "tests/engine_fixture.hpp"

namespace mcpu::service_control_test {

using namespace std::chrono_literals;

namespace {

/// Service managers that remember which release each restart of the system's unit ran. root's
/// are the system's; those of `nobody` are nobody's own.
class ScriptedServices final : public ServiceControl {
 public:
  explicit ScriptedServices(const Machine& machine) : machine_(machine) {}

  ServiceState look(const ServiceUnit& unit, const Cancellation*) override {
    const std::lock_guard lock(mutex_);
    if (unlookable.contains(unit.shown())) throw Error(Code::kTimeout, "no answer in time");
    ServiceState state;
    if (unit.name == "missing.service") {
      state.known = ServiceState::Known::kNo;
      state.reason = "there is no unit of this name";
    }
    state.active = active;
    return state;
  }
  RestartResult restart(const ServiceUnit& unit, std::chrono::seconds deadline,
                        const Cancellation*) override {
    const std::lock_guard lock(mutex_);
    deadlines[unit.shown()] = deadline;
    if (hanging.contains(unit.shown())) throw Error(Code::kTimeout, "no answer in time");
    if (lying.contains(unit.shown())) throw Error(Code::kWorker, "something unreadable");
    if (!unit.required) return {!broken.contains(unit.shown()), "it is failed", {}, false};
    restarts.push_back(machine_.runs());
    active = broken.contains(restarts.back()) ? "failed" : "active";
    RestartResult result;
    result.runs = active == "active";
    if (!result.runs) result = {false, "it is failed (exit-code)", {"cannot bind"}};
    return result;
  }

  std::string active = "active";
  std::set<std::string> broken;  ///< what does not come up with these, or of these names
  std::set<std::string> hanging, lying, unlookable;  ///< by ServiceUnit::shown()
  std::map<std::string, std::chrono::seconds> deadlines;
  std::vector<std::string> restarts;

 private:
  const Machine& machine_;
  std::mutex mutex_;
};

/// 1.0.0 is installed, a service is configured, 1.1.0 is offered.
struct Served {
  Served() : services(machine) {
    run_well(machine, upgrade_request());
    machine.offer("1.1.0");
    machine.app().services = {"app.service"};
    machine.manage_services_by(&services);
  }
  /// From now on each user's own app.service counts beside it; nobody may fail no job.
  void serve_users() {
    machine.configuration().users = {"root", "nobody"};
    machine.configuration().required_users = {"root"};
    const Identity nobody = identity_of("nobody");
    make_directories(machine.fs(), nobody.home, 0700);
    machine.fs().set_owner(nobody.home, nobody.uid, nobody.gid);
    machine.app().services = {"app.service", "user:app.service"};
  }
  /// What `status` says is wrong with the application's services.
  nlohmann::json problems() {
    Engine engine(machine);
    Instance instance;
    instance.layout = machine.layout();
    Queries queries(machine.environment(), instance, now(), engine.state().get(), {}, {},
                    [](std::uint32_t) { return true; });
    nlohmann::json found = nlohmann::json::array();
    const auto app = queries.status("app", false).at("applications").at(0);
    for (const auto& problem : app.at("problems")) {
      const std::string what = problem.at("what");
      if (what.starts_with("service ")) found.push_back(problem);
    }
    return found;
  }
  JobResult upgrade() {
    Engine engine(machine);
    const JobResult result = engine.run(upgrade_request());
    for (const auto& event : engine.events().read(2, 1, 1000)) {
      texts.push_back(event->event.text);
      tiers[event->event.id] = event->event.tier;
    }
    return result;
  }
  bool told(const std::string& part) const {
    return std::ranges::any_of(
        texts, [&](const std::string& text) { return text.find(part) != text.npos; });
  }

  Machine machine;
  ScriptedServices services;
  std::vector<std::string> texts;
  std::map<std::string, Tier> tiers;
};

using Restarts = std::vector<std::string>;

ServiceUnit unit() { return {"app.service", identity_of("root"), false}; }

}  // namespace

TEST_CASE("a service that runs is restarted with the new release") {
  Served one;
  CHECK(one.upgrade().outcome == Outcome::kDone);
  CHECK(one.services.restarts == Restarts{"app 1.1.0"});
  CHECK(one.told("restarted service app.service in"));
}

TEST_CASE("a service that somebody stopped stays stopped") {
  Served one;
  one.services.active = "inactive";
  CHECK(one.upgrade().outcome == Outcome::kDone);
  CHECK(one.services.restarts.empty());
  CHECK(one.told("left service app.service alone: it was inactive"));
}

TEST_CASE("a service that does not come up is a regression, and runs again after the undo") {
  Served one;
  one.services.broken = {"app 1.1.0"};
  const JobResult result = one.upgrade();
  CHECK(result.outcome == Outcome::kFailed);
  CHECK(result.message.find("service app.service does not run with the new release") !=
        std::string::npos);
  CHECK(one.machine.runs() == "app 1.0.0");
  CHECK(one.services.restarts == Restarts{"app 1.1.0", "app 1.0.0"});
  CHECK(one.told("app.service: cannot bind"));
  CHECK(one.told("restarted service app.service with what stood there before"));
  CHECK(one.told("is marked as broken by check service app.service"));
}

TEST_CASE("a service that had failed before is left alone, whatever becomes of the job") {
  for (const bool healthy : {true, false}) {
    Served one;
    one.services.active = "failed";
    if (!healthy) one.machine.check_by([](const CheckRun&) { return CheckResult(); });
    CHECK(one.upgrade().outcome == (healthy ? Outcome::kDone : Outcome::kFailed));
    CHECK(one.services.restarts.empty());
    if (healthy) CHECK(one.told("left service app.service alone: it was failed"));
  }
}

TEST_CASE("a service that started again and again before is restarted and no regression") {
  Served one;
  one.services.active = "activating";
  one.services.broken = {"app 1.1.0"};
  CHECK(one.upgrade().outcome == Outcome::kDone);
  CHECK(one.services.restarts == Restarts{"app 1.1.0"});
  CHECK(one.told("did not stay up before this job either, and does not now: it is failed"));
}

TEST_CASE("a service that does not come back after the undo is named until it runs") {
  Served one;
  one.services.broken = {"app 1.1.0", "app 1.0.0"};
  const JobResult result = one.upgrade();
  CHECK(result.outcome == Outcome::kFailed);
  CHECK(one.told("service app.service does not run again after the undo"));
  const std::string but =
      "everything is as it was, but for service app.service, which does not run";
  INFO(result.message);
  CHECK(result.message.ends_with(but));
  CHECK(one.tiers.at("undo.done") == Tier::kWarning);
  CHECK_FALSE(one.machine.fs().info(one.machine.layout().journal()));
  const auto problems = one.problems();
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].at("what") == "service app.service does not run since job 2 was undone");
  CHECK(problems[0].at("remedy").get<std::string>().starts_with(
      "'systemctl status app.service' says why"));
  one.services.active = "active";  // somebody mended it
  CHECK(one.problems().empty());
}

TEST_CASE("a service that takes too long is named, and the release may be tried again") {
  Served one;
  one.services.hanging = {"app.service"};
  const JobResult result = one.upgrade();
  CHECK(result.outcome == Outcome::kFailed);
  CHECK(result.message.find("service app.service does not run with the new release: its restart "
                            "did not end within 200 s") != std::string::npos);
  CHECK_FALSE(one.told("is marked as broken"));
  CHECK(one.machine.runs() == "app 1.0.0");
}

TEST_CASE("a unit of a user who may fail no job warns, and neither fails nor delays it") {
  for (const char* wrong : {"broken", "hanging", "lying", "unlookable"}) {
    CAPTURE(wrong);
    Served one;
    one.serve_users();
    const std::string unit = "app.service of nobody", which(wrong);
    if (which == "broken") one.services.broken = {unit};
    if (which == "hanging") one.services.hanging = {unit};
    if (which == "lying") one.services.lying = {unit};
    if (which == "unlookable") one.services.unlookable = {unit};
    CHECK(one.upgrade().outcome == Outcome::kDone);
    CHECK(one.told("restarted service app.service in"));
    CHECK(one.told("restarted service app.service of root in"));
    if (which == "unlookable") {
      CHECK(one.told("left service app.service of nobody alone: no answer in time"));
    } else {
      CHECK(one.told("service app.service of nobody does not run with the new release"));
      CHECK(one.told("nobody is not in required_users"));
      CHECK(one.services.deadlines.at(unit) <= 15s);
    }
    CHECK(one.services.deadlines.at("app.service of root") == 200s);
  }
}

TEST_CASE("such a unit is no exception to that everything is as it was") {
  Served one;
  one.serve_users();
  one.services.broken = {"app 1.1.0", "app.service of nobody"};
  const JobResult result = one.upgrade();
  CHECK(result.outcome == Outcome::kFailed);
  CHECK(result.message.ends_with("everything is as it was"));
  CHECK(one.told("service app.service of nobody does not run again after the undo"));
  CHECK(one.problems().empty());
}

TEST_CASE("without a service manager, or without the unit, the job is refused by name") {
  Served one;
  one.machine.manage_services_by(nullptr);
  JobResult result = one.upgrade();
  CHECK(result.outcome == Outcome::kRefused);
  CHECK(result.message.find("no service manager can be reached") != std::string::npos);
  CHECK(result.message.find("applications.app.services") != std::string::npos);
  one.machine.manage_services_by(&one.services);
  one.machine.app().services = {"missing.service"};
  result = one.upgrade();
  CHECK(result.outcome == Outcome::kRefused);
  CHECK(result.message.find("missing.service") != std::string::npos);
  CHECK(one.machine.runs() == "app 1.0.0");
}

TEST_CASE("what a worker says of a unit is bounded and checked") {
  ThreadProcesses processes;
  const auto services = make_service_control(processes);
  processes.run(WorkerKind::kServices, [](WorkerLink& link, const Identity&) {
    const auto request = link.receive();
    CHECK(request.at("unit") == "app.service");
    const std::vector<std::string> lines(100, std::string(5000, 'x'));
    link.send({{"runs", false}, {"reason", "it is failed"}, {"lines", lines}});
  });
  const RestartResult result = services->restart(unit(), 10s, nullptr);
  CHECK_FALSE(result.runs);
  CHECK(result.lines.size() == 20);
  CHECK(result.lines.front().size() == 1000);
  processes.run(WorkerKind::kServices, [](WorkerLink& link, const Identity&) {
    link.receive();
    link.send({{"runs", "perhaps"}});
  });
  CHECK_THROWS_AS(services->restart(unit(), 10s, nullptr), Error);
  CHECK_THROWS_AS(services->look(unit(), nullptr), Error);
}

}  // namespace mcpu::service_control_test
