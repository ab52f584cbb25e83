#include "daemon/service_control.hpp"

#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

constexpr std::chrono::seconds kLook{10};
/// How long a unit is watched after its restart: a few rounds of systemd's own RestartSec.
constexpr std::chrono::milliseconds kSettling{2000};
constexpr std::size_t kMostLines = 20;
constexpr std::size_t kMostLineBytes = 1000;

std::string bounded(const std::string& text) { return to_utf8(text.substr(0, kMostLineBytes)); }

Error lie(const ServiceUnit& unit, const std::string& what) {
  return Error(Code::kWorker,
               "the worker for " + unit.shown() + " sent something unreadable: " + bounded(what));
}

/// Each answer comes from a worker of its own; with a user's rights it is that user's word.
class WorkerServices final : public ServiceControl {
 public:
  explicit WorkerServices(ProcessPort& processes) : processes_(processes) {}

  ServiceState look(const ServiceUnit& unit, const Cancellation* cancellation) override {
    const json answer = ask(unit, {{"operation", "look"}}, kLook, cancellation);
    try {
      ServiceState state;
      const std::string known = answer.at("known");
      if (known == "no") state.known = ServiceState::Known::kNo;
      if (known == "no manager") state.known = ServiceState::Known::kNoManager;
      state.active = bounded(answer.at("active"));
      state.reason = bounded(answer.at("reason"));
      return state;
    } catch (const json::exception& error) {
      throw lie(unit, error.what());
    }
  }

  RestartResult restart(const ServiceUnit& unit, std::chrono::seconds deadline,
                        const Cancellation* cancellation) override {
    const json answer = ask(unit, {{"operation", "restart"}, {"settling_ms", kSettling.count()}},
                            deadline, cancellation);
    try {
      RestartResult result;
      result.runs = answer.at("runs");
      result.reason = bounded(answer.at("reason"));
      for (const json& line : answer.at("lines")) {
        if (result.lines.size() < kMostLines) result.lines.push_back(bounded(line));
      }
      return result;
    } catch (const json::exception& error) {
      throw lie(unit, error.what());
    }
  }

 private:
  json ask(const ServiceUnit& unit, json request, std::chrono::seconds deadline,
           const Cancellation* cancellation) {
    request["unit"] = unit.name;
    request["of_user"] = unit.of_user;
    const auto worker = processes_.start(WorkerKind::kServices, unit.owner);
    worker->link().limit(std::chrono::steady_clock::now() + deadline, cancellation);
    worker->link().send(request);
    return worker->link().receive();
  }

  ProcessPort& processes_;
};

}  // namespace

std::unique_ptr<ServiceControl> make_service_control(ProcessPort& processes) {
  return std::make_unique<WorkerServices>(processes);
}

std::vector<ServiceUnit> configured_units(const std::vector<std::string>& names,
                                          const std::vector<ManagedUser>& users, bool user_mode) {
  std::vector<ServiceUnit> units;
  for (const std::string& name : names) {
    const bool of_user = name.starts_with(kUserUnit);
    const std::string unit = of_user ? name.substr(kUserUnit.size()) : name;
    if (!of_user && !user_mode) {
      units.push_back({unit, {0, 0, "root", "/root", "/bin/sh"}, false, true});
      continue;
    }
    for (const ManagedUser& user : users) {
      if (!user.homeless) units.push_back({unit, user.who, true, user.required});
    }
  }
  return units;
}

json to_json(const ServiceUnit& unit) {
  return {{"unit", unit.name},
          {"of_user", unit.of_user},
          {"owner", to_json(unit.owner)},
          {"required", unit.required}};
}

ServiceUnit service_unit_from_json(const json& document) {
  return {document.at("unit"), identity_from_json(document.at("owner")), document.at("of_user"),
          document.value("required", true)};
}

}  // namespace mcpu
