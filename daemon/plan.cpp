#include "daemon/plan.hpp"

#include <array>

#include "daemon/service_control.hpp"
#include "daemon/state_store.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

struct StepTraits {
  StepKind kind;
  std::string_view name;
  Phase phase;
};

constexpr std::array kTraits{
    StepTraits{StepKind::kStage, "stage", Phase::kStage},
    StepTraits{StepKind::kSnapshot, "snapshot", Phase::kSnapshot},
    StepTraits{StepKind::kMidCheck, "mid-check", Phase::kMidCheck},
    StepTraits{StepKind::kServices, "services", Phase::kActivate},
    StepTraits{StepKind::kActivate, "activate", Phase::kActivate},
    StepTraits{StepKind::kEntryPoints, "entry-points", Phase::kActivate},
    StepTraits{StepKind::kLeave, "leave", Phase::kActivate},
    StepTraits{StepKind::kRestart, "restart", Phase::kRestart},
    StepTraits{StepKind::kRestoreConfigs, "restore-configs", Phase::kRestart},
    StepTraits{StepKind::kPostCheck, "post-check", Phase::kPostCheck},
    StepTraits{StepKind::kStale, "stale", Phase::kStale},
    StepTraits{StepKind::kRecordAfter, "record-after", Phase::kCommit},
};

const StepTraits& traits(StepKind kind) {
  for (const StepTraits& one : kTraits) {
    if (one.kind == kind) return one;
  }
  throw Error(Code::kInternal, "a step without a name");
}

Step step(StepKind kind, json arguments, std::chrono::seconds deadline) {
  return {kind, std::move(arguments), deadline};
}

/// Of all services of an application together; each restart has its own bound.
constexpr std::chrono::seconds kServiceDeadline{600};

Plan outline(const PlanFacts& facts) {
  Plan plan;
  plan.job = facts.job;
  plan.app = facts.app->name;
  plan.kind = facts.request.kind;
  plan.mode = facts.request.mode;
  plan.from = facts.from;
  plan.to = facts.to;
  plan.by = facts.by;
  plan.entry_points = facts.app->entry_points;
  plan.files = facts.app->files;
  plan.users = facts.users;
  return plan;
}

/// Users are served one after the other, each within its own bound.
std::chrono::seconds for_users(const PlanFacts& facts, std::chrono::seconds each) {
  return each * static_cast<int>(facts.users.size() + 1);
}

void add_entry_points(Plan& plan, const PlanFacts& facts) {
  if (!facts.entry_points) return;
  plan.steps.push_back(
      step(StepKind::kEntryPoints, {{"first", facts.first_adoption}}, std::chrono::seconds(30)));
}

void add_end(Plan& plan, const PlanFacts& facts) {
  plan.steps.push_back(step(StepKind::kPostCheck, {{"full", facts.request.mode == Mode::kFull}},
                            facts.limits.all_checks));
  if (facts.request.kind == JobKind::kUpgrade && facts.request.mode == Mode::kFull) {
    plan.steps.push_back(step(StepKind::kStale, json::object(), std::chrono::seconds(30)));
  }
  plan.steps.push_back(
      step(StepKind::kRecordAfter, json::object(), for_users(facts, facts.limits.home)));
}

void add_activate(Plan& plan, const PlanFacts& facts) {
  plan.steps.push_back(step(StepKind::kActivate, {{"from", facts.current}, {"to", facts.to}},
                            std::chrono::seconds(30)));
}

json service_units(const PlanFacts& facts) {
  json units = json::array();
  for (const auto& unit : configured_units(facts.app->services, facts.users, facts.user_mode)) {
    units.push_back(to_json(unit));
  }
  return {{"units", units}};
}

/// Before the switch, so that it is undone behind the switch's undo.
void add_services(Plan& plan, const PlanFacts& facts) {
  if (facts.app->services.empty()) return;
  plan.steps.push_back(step(StepKind::kServices, service_units(facts), kServiceDeadline));
}

void add_restart(Plan& plan, const PlanFacts& facts) {
  if (facts.app->services.empty()) return;
  plan.steps.push_back(step(StepKind::kRestart, service_units(facts), kServiceDeadline));
}

}  // namespace

std::string_view step_name(StepKind kind) { return traits(kind).name; }

Phase phase_of(StepKind kind) { return traits(kind).phase; }

json to_json(const Plan& plan) {
  json entry_points = json::array(), files = json::array(), users = json::array(),
       steps = json::array();
  for (const auto& one : plan.entry_points) {
    entry_points.push_back({{"name", one.name}, {"path", one.path}, {"link", one.link}});
  }
  for (const auto& one : plan.files) {
    files.push_back({{"path", one.path}, {"format", one.format}, {"servers", one.servers}});
  }
  for (const auto& one : plan.users) {
    users.push_back(
        {{"who", to_json(one.who)}, {"required", one.required}, {"homeless", one.homeless}});
  }
  for (const auto& one : plan.steps) {
    steps.push_back({{"kind", step_name(one.kind)},
                     {"arguments", one.arguments},
                     {"deadline_seconds", one.deadline.count()}});
  }
  return {{"job", plan.job},
          {"app", plan.app},
          {"kind", kind_name(plan.kind)},
          {"mode", mode_name(plan.mode)},
          {"from", plan.from},
          {"to", plan.to},
          {"by", plan.by},
          {"entry_points", entry_points},
          {"files", files},
          {"users", users},
          {"steps", steps}};
}

namespace {

Step step_from_json(const json& document) {
  const std::string name = document.at("kind");
  for (const StepTraits& one : kTraits) {
    if (one.name == name) {
      return {one.kind, document.at("arguments"),
              std::chrono::seconds(document.at("deadline_seconds").get<std::int64_t>())};
    }
  }
  throw Error(Code::kCorrupt, "the journal's plan has an unknown step: " + name);
}

Plan read_plan(const json& document) {
  Plan plan;
  plan.job = document.at("job");
  plan.app = document.at("app");
  const auto kind = kind_from(document.at("kind").get_ref<const std::string&>());
  if (!kind) throw Error(Code::kCorrupt, "the journal's plan is of an unknown kind of job");
  plan.kind = *kind;
  plan.mode = document.at("mode") == "full" ? Mode::kFull : Mode::kQuick;
  plan.from = document.at("from");
  plan.to = document.at("to");
  plan.by = document.at("by");
  for (const json& one : document.at("entry_points")) {
    plan.entry_points.push_back({one.at("name"), one.at("path"), one.at("link")});
  }
  for (const json& one : document.at("files")) {
    plan.files.push_back({one.at("path"), one.at("format"), one.at("servers")});
  }
  for (const json& one : document.at("users")) {
    plan.users.push_back(
        {identity_from_json(one.at("who")), one.at("required"), one.value("homeless", false)});
  }
  for (const json& one : document.at("steps")) plan.steps.push_back(step_from_json(one));
  return plan;
}

}  // namespace

Plan plan_from_json(const json& document) {
  try {
    return read_plan(document);
  } catch (const json::exception& error) {
    throw Error(Code::kCorrupt, std::string("the journal's plan cannot be read: ") + error.what());
  }
}

Plan plan_upgrade(const PlanFacts& facts) {
  Plan plan = outline(facts);
  if (facts.stage) {
    plan.steps.push_back(step(StepKind::kStage, {{"release", facts.to}, {"reuse", facts.current}},
                              facts.limits.stage));
  }
  plan.steps.push_back(
      step(StepKind::kSnapshot, json::object(), for_users(facts, facts.limits.home)));
  plan.steps.push_back(step(StepKind::kMidCheck, {{"deep", facts.request.mode == Mode::kFull}},
                            facts.limits.all_checks));
  add_services(plan, facts);
  add_activate(plan, facts);
  add_entry_points(plan, facts);
  add_restart(plan, facts);
  add_end(plan, facts);
  return plan;
}

Plan plan_rollback(const PlanFacts& facts) {
  Plan plan = outline(facts);
  plan.steps.push_back(
      step(StepKind::kSnapshot, json::object(), for_users(facts, facts.limits.home)));
  add_services(plan, facts);
  if (facts.to == kBefore) {
    plan.steps.push_back(step(StepKind::kLeave, json::object(), std::chrono::seconds(30)));
  } else {
    add_activate(plan, facts);
    add_entry_points(plan, facts);
  }
  add_restart(plan, facts);
  if (facts.request.configs != ConfigPolicy::kNever) {
    plan.steps.push_back(
        step(StepKind::kRestoreConfigs,
             {{"policy", policy_name(facts.request.configs)}, {"jobs", facts.walk_back}},
             for_users(facts, facts.limits.home)));
  }
  add_end(plan, facts);
  return plan;
}

Plan plan_repair(const PlanFacts& facts) {
  Plan plan = outline(facts);
  if (facts.current != facts.to) add_activate(plan, facts);
  add_entry_points(plan, facts);
  return plan;
}

}  // namespace mcpu
