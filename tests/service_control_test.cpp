#include "daemon/service_control.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "tests/engine_fixture.hpp"

using namespace mcpu;
using namespace std::chrono_literals;

namespace {

/// A service manager that remembers which release each restart ran.
class ScriptedServices final : public ServiceControl {
 public:
  explicit ScriptedServices(const Machine& machine) : machine_(machine) {}

  ServiceState look(const ServiceUnit& unit, const Cancellation*) override {
    ServiceState state;
    if (unit.name == "missing.service") {
      state.known = ServiceState::Known::kNo;
      state.reason = "there is no unit of this name";
    }
    state.active = active;
    return state;
  }
  RestartResult restart(const ServiceUnit&, std::chrono::seconds, const Cancellation*) override {
    restarts.push_back(machine_.runs());
    RestartResult result;
    result.runs = !broken.contains(restarts.back());
    if (!result.runs) result = {false, "it is failed (exit-code)", {"cannot bind"}};
    return result;
  }

  std::string active = "active";
  std::set<std::string> broken;  ///< what does not come up with these
  std::vector<std::string> restarts;

 private:
  const Machine& machine_;
};

/// 1.0.0 is installed, a service is configured, 1.1.0 is offered.
struct Served {
  Served() : services(machine) {
    run_well(machine, upgrade_request());
    machine.offer("1.1.0");
    machine.app().services = {"app.service"};
    machine.manage_services_by(&services);
  }
  JobResult upgrade() {
    Engine engine(machine);
    const JobResult result = engine.run(upgrade_request());
    for (const auto& event : engine.events().read(2, 1, 1000)) texts.push_back(event->event.text);
    return result;
  }
  bool told(const std::string& part) const {
    return std::ranges::any_of(
        texts, [&](const std::string& text) { return text.find(part) != text.npos; });
  }

  Machine machine;
  ScriptedServices services;
  std::vector<std::string> texts;
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

TEST_CASE("a service that had failed before does not stop an upgrade") {
  Served one;
  one.services.active = "failed";
  one.services.broken = {"app 1.1.0"};
  CHECK(one.upgrade().outcome == Outcome::kDone);
  CHECK(one.told("failed before this job too: it is failed (exit-code)"));
}

TEST_CASE("a service that does not come back after the undo is told and keeps nothing pending") {
  Served one;
  one.services.broken = {"app 1.1.0", "app 1.0.0"};
  CHECK(one.upgrade().outcome == Outcome::kFailed);
  CHECK(one.told("service app.service does not run again after the undo"));
  CHECK_FALSE(one.machine.fs().info(one.machine.layout().journal()));
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
