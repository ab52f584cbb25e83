#include <map>
#include <thread>
#include <vector>

#include "daemon/worker/process_owner.hpp"
#include "daemon/worker/service_bus.hpp"
#include "daemon/worker/worker_entry.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"

using namespace mcpu;
using nlohmann::json;

namespace {

constexpr std::chrono::milliseconds kLookAgain{50};
constexpr std::size_t kLines = 20;

json look(const std::string& unit, bool of_user) {
  try {
    ServiceBus bus(of_user);
    const std::string reason = bus.why_unknown(unit);
    return {{"known", reason.empty() ? "yes" : "no"},
            {"active", bus.state(unit, "ActiveState")},
            {"reason", reason}};
  } catch (const Error& error) {
    if (error.code() != Code::kIo) throw;
    return {{"known", "no manager"}, {"active", "inactive"}, {"reason", error.what()}};
  }
}

/// Whether a unit is where it should be after its restart: up, or done if it is one that ends.
std::string why_not_up(ServiceBus& bus, const std::string& unit) {
  const std::string active = bus.state(unit, "ActiveState");
  if (active == "active" || active == "reloading") return {};
  if (active == "inactive" && bus.state(unit, "Type") == "oneshot") return {};
  const std::string result = bus.state(unit, "Result");
  return "it is " + active + (result.empty() || result == "success" ? "" : " (" + result + ")");
}

/// Restarts, then watches: a service that systemd has to restart meanwhile does not run well.
std::string restart_and_watch(ServiceBus& bus, const std::string& unit,
                              std::chrono::milliseconds settling) {
  // Ours are few: StartLimitBurst= is against loops, not against a restart and its undo.
  bus.forget_failures(unit);
  const std::string result = bus.restart(unit);
  if (result != "done") return "its start ended with '" + result + "'";
  const auto end = std::chrono::steady_clock::now() + settling;
  const unsigned restarts = bus.restarts(unit);
  while (true) {
    if (std::string reason = why_not_up(bus, unit); !reason.empty()) return reason;
    if (bus.restarts(unit) != restarts) return "systemd has to start it again and again";
    if (std::chrono::steady_clock::now() >= end) return {};
    std::this_thread::sleep_for(kLookAgain);
  }
}

json restart(const std::string& unit, bool of_user, std::chrono::milliseconds settling) {
  ServiceBus bus(of_user);
  const auto begin = std::chrono::system_clock::now();
  const std::string reason = restart_and_watch(bus, unit, settling);
  json lines = json::array();
  if (!reason.empty()) lines = bus.lines(unit, begin, kLines);
  return {{"runs", reason.empty()}, {"reason", reason}, {"lines", lines}};
}

/// Those command lines with this text in them that run with these users' rights.
json commands(const std::string& containing, const std::vector<uid_t>& uids) {
  std::map<pid_t, std::string> lines;
  for (RunningCommand& one : ServiceBus(false).commands()) {
    if (one.line.find(containing) != one.line.npos) lines[one.pid] = to_utf8(one.line);
  }
  std::vector<pid_t> pids;
  for (const auto& [pid, line] : lines) pids.push_back(pid);
  json found = json::array();
  for (const uid_t uid : uids) {
    for (const pid_t pid : processes_of(uid, pids)) {
      found.push_back({{"pid", pid}, {"command", lines.at(pid)}});
    }
  }
  return {{"commands", found}};
}

json answer(const json& request) {
  const std::string operation = request.at("operation");
  if (operation == "commands") return commands(request.at("containing"), request.at("uids"));
  const std::string unit = request.at("unit");
  const bool of_user = request.at("of_user");
  if (operation == "look") return look(unit, of_user);
  return restart(unit, of_user, std::chrono::milliseconds(request.at("settling_ms")));
}

}  // namespace

/// Asks a service manager one thing for the daemon.
int main() {
  return run_worker("mcp-upgraded-services",
                    [](WorkerLink& link) { link.send(answer(link.receive())); });
}
