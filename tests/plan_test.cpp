#include "daemon/plan.hpp"

#include <doctest/doctest.h>

#include "daemon/service_control.hpp"
#include "daemon/state_store.hpp"
#include "proto/error.hpp"

namespace mcpu::plan_test {

namespace {

const Application& application() {
  static const Application app = [] {
    Application one;
    one.name = "app";
    one.entry_points = {{"app", "bin/app", "/usr/local/bin/app"}};
    one.files = {{".app/settings.json", "json", "/servers"}};
    return one;
  }();
  return app;
}

PlanFacts facts(JobKind kind = JobKind::kUpgrade) {
  PlanFacts one;
  one.job = 3;
  one.request.kind = kind;
  one.by = "anna";
  one.app = &application();
  one.users = {{{1000, 1000, "anna", "/home/anna", "/bin/sh"}, true}};
  one.from = one.current = "a";
  one.to = "b";
  return one;
}

std::vector<std::string> names(const Plan& plan) {
  std::vector<std::string> all;
  for (const Step& step : plan.steps) all.emplace_back(step_name(step.kind));
  return all;
}

const Step& step(const Plan& plan, StepKind kind) {
  for (const Step& one : plan.steps) {
    if (one.kind == kind) return one;
  }
  FAIL("no such step");
  return plan.steps.front();
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a quick upgrade saves before it checks, and checks before it switches") {
  PlanFacts one = facts();
  one.stage = true;
  CHECK(names(plan_upgrade(one)) ==
        Names{"stage", "snapshot", "mid-check", "activate", "post-check", "record-after"});
}

TEST_CASE("what is staged already is not staged again") {
  CHECK(names(plan_upgrade(facts())).front() == "snapshot");
}

TEST_CASE("a full upgrade removes stale installations, a first one adopts") {
  PlanFacts one = facts();
  one.request.mode = Mode::kFull;
  one.stage = one.entry_points = one.first_adoption = true;
  const Plan plan = plan_upgrade(one);
  CHECK(names(plan) == Names{"stage", "snapshot", "mid-check", "activate", "entry-points",
                             "post-check", "stale", "record-after"});
  CHECK(step(plan, StepKind::kEntryPoints).arguments.at("first") == true);
  CHECK(step(plan, StepKind::kMidCheck).arguments.at("deep") == true);
}

TEST_CASE("a rollback switches, then puts configuration files back") {
  PlanFacts one = facts(JobKind::kRollback);
  one.walk_back = {2, 1};
  const Plan plan = plan_rollback(one);
  CHECK(names(plan) ==
        Names{"snapshot", "activate", "restore-configs", "post-check", "record-after"});
  CHECK(step(plan, StepKind::kRestoreConfigs).arguments.at("jobs") == nlohmann::json{2, 1});
  one.request.configs = ConfigPolicy::kNever;
  CHECK(names(plan_rollback(one)) == Names{"snapshot", "activate", "post-check", "record-after"});
}

TEST_CASE("a rollback to before leaves") {
  PlanFacts one = facts(JobKind::kRollback);
  one.to = kBefore;
  CHECK(names(plan_rollback(one)) ==
        Names{"snapshot", "leave", "restore-configs", "post-check", "record-after"});
}

TEST_CASE("services are restarted after the switch") {
  Application app = application();
  app.services = {"app.service"};
  PlanFacts one = facts();
  one.app = &app;
  const auto all = names(plan_upgrade(one));
  CHECK(all == Names{"snapshot", "mid-check", "services", "activate", "restart", "post-check",
                     "record-after"});
}

TEST_CASE("units are the system's or each user's, and in user mode all are the user's") {
  Application app = application();
  app.services = {"app.service", "user:tray.service"};
  PlanFacts one = facts();
  one.app = &app;
  one.user_mode = false;
  const auto system = step(plan_upgrade(one), StepKind::kRestart).arguments.at("units");
  REQUIRE(system.size() == 2);
  CHECK(service_unit_from_json(system[0]).shown() == "app.service");
  CHECK(service_unit_from_json(system[0]).owner.uid == 0);
  CHECK(service_unit_from_json(system[1]).shown() == "tray.service of anna");
  one.user_mode = true;
  const auto own = step(plan_upgrade(one), StepKind::kRestart).arguments.at("units");
  CHECK(service_unit_from_json(own[0]).shown() == "app.service of anna");
}

TEST_CASE("each step has a deadline, and time for each user") {
  PlanFacts one = facts();
  one.stage = true;
  const auto alone = step(plan_upgrade(one), StepKind::kSnapshot).deadline;
  for (const Step& each : plan_upgrade(one).steps) CHECK(each.deadline.count() > 0);
  one.users.push_back(one.users.front());
  CHECK(step(plan_upgrade(one), StepKind::kSnapshot).deadline > alone);
}

TEST_CASE("a plan is read back from the journal as it was written") {
  PlanFacts one = facts();
  one.request.mode = Mode::kFull;
  one.stage = one.entry_points = true;
  const Plan plan = plan_upgrade(one);
  CHECK(to_json(plan_from_json(to_json(plan))) == to_json(plan));
}

TEST_CASE("a plan that cannot be read is damage, not a guess") {
  const nlohmann::json good = to_json(plan_upgrade(facts()));
  CHECK_THROWS_AS(plan_from_json(nlohmann::json::object()), Error);
  nlohmann::json unknown = good;
  unknown["steps"][0]["kind"] = "dance";
  CHECK_THROWS_WITH_AS(plan_from_json(unknown), "the journal's plan has an unknown step: dance",
                       Error);
  for (const auto& [key, value] : good.items()) {
    nlohmann::json less = good;
    less.erase(key);
    CAPTURE(key);
    CHECK_THROWS_AS(plan_from_json(less), Error);
  }
}

}  // namespace mcpu::plan_test
