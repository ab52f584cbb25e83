#include "daemon/worker/service_bus.hpp"

#include <systemd/sd-bus.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

constexpr const char* kSystemd = "org.freedesktop.systemd1";
constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kManager = "org.freedesktop.systemd1.Manager";
constexpr const char* kUnit = "org.freedesktop.systemd1.Unit";
constexpr const char* kRootSlice = "-.slice";
constexpr const char* kService = "org.freedesktop.systemd1.Service";

/// The journal may lag behind systemd by a moment.
constexpr std::chrono::milliseconds kJournalLag{300};

std::string socket_path(bool of_user) {
  return of_user ? "/run/user/" + std::to_string(geteuid()) + "/systemd/private"
                 : std::string("/run/systemd/private");
}

struct BusError {
  sd_bus_error error{};
  ~BusError() { sd_bus_error_free(&error); }
  std::string text(int result) const {
    return error.message ? error.message : std::strerror(-result);
  }
};

struct Unref {
  void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
  void operator()(sd_journal* journal) const { sd_journal_close(journal); }
};
using Message = std::unique_ptr<sd_bus_message, Unref>;

[[noreturn]] void fail(const std::string& what, const std::string& reason) {
  throw Error(Code::kWorker, "cannot " + what + ": " + reason);
}

/// The value of a unit's property, "" where the unit has none such.
std::string property(sd_bus* bus, const std::string& path, const char* interface,
                     const char* name) {
  BusError error;
  char* value = nullptr;
  if (sd_bus_get_property_string(bus, kSystemd, path.c_str(), interface, name, &error.error,
                                 &value) < 0) {
    return {};
  }
  const std::unique_ptr<char, decltype(&std::free)> owned(value, &std::free);
  return value;
}

void match(sd_journal* journal, const std::string& expression) {
  if (sd_journal_add_match(journal, expression.data(), expression.size()) < 0) {
    throw Error(Code::kWorker, "cannot search the journal");
  }
}

std::string message_of(sd_journal* journal) {
  const void* data = nullptr;
  std::size_t size = 0;
  if (sd_journal_get_data(journal, "MESSAGE", &data, &size) < 0) return {};
  const std::string_view field(static_cast<const char*>(data), size);
  return to_utf8(std::string(field.substr(std::min(field.size(), std::strlen("MESSAGE=")))));
}

}  // namespace

void ServiceBus::Close::operator()(sd_bus* bus) const { sd_bus_flush_close_unref(bus); }

ServiceBus::ServiceBus(bool of_user) : of_user_(of_user) {
  const std::string path = socket_path(of_user);
  sd_bus* bus = nullptr;
  int result = sd_bus_new(&bus);
  bus_.reset(bus);
  if (result >= 0) result = sd_bus_set_address(bus, ("unix:path=" + path).c_str());
  if (result >= 0) result = sd_bus_start(bus);
  if (result >= 0) {
    result = sd_bus_match_signal(bus, nullptr, nullptr, kManagerPath, kManager, "JobRemoved",
                                 reinterpret_cast<sd_bus_message_handler_t>(&on_job_removed), this);
  }
  if (result < 0) throw io_error("reach the service manager at", path, -result);
}

int ServiceBus::on_job_removed(sd_bus_message* message, void* bus, void*) {
  const char *path = nullptr, *unit = nullptr, *result = nullptr;
  std::uint32_t id = 0;
  if (sd_bus_message_read(message, "uoss", &id, &path, &unit, &result) >= 0) {
    static_cast<ServiceBus*>(bus)->ended_jobs_[path] = result;
  }
  return 0;
}

std::string ServiceBus::path_of(const std::string& unit) {
  BusError error;
  sd_bus_message* reply = nullptr;
  int result = sd_bus_call_method(bus_.get(), kSystemd, kManagerPath, kManager, "LoadUnit",
                                  &error.error, &reply, "s", unit.c_str());
  const Message owned(reply);
  const char* path = nullptr;
  if (result >= 0) result = sd_bus_message_read(reply, "o", &path);
  if (result < 0) fail("load " + unit, error.text(result));
  return path;
}

std::string ServiceBus::why_unknown(const std::string& unit) {
  const std::string load = property(bus_.get(), path_of(unit), kUnit, "LoadState");
  if (load == "loaded") return {};
  return load == "not-found" ? "there is no unit of this name" : "systemd says it is " + load;
}

std::string ServiceBus::state(const std::string& unit, const char* property_name) {
  const std::string path = path_of(unit);
  const std::string value = property(bus_.get(), path, kUnit, property_name);
  return value.empty() ? property(bus_.get(), path, kService, property_name) : value;
}

unsigned ServiceBus::restarts(const std::string& unit) {
  BusError error;
  std::uint32_t count = 0;
  const int result = sd_bus_get_property_trivial(bus_.get(), kSystemd, path_of(unit).c_str(),
                                                 kService, "NRestarts", &error.error, 'u', &count);
  return result < 0 ? 0 : count;
}

void ServiceBus::forget_failures(const std::string& unit) {
  BusError error;
  // What keeps systemd from it keeps it from the restart too, which then says so.
  sd_bus_call_method(bus_.get(), kSystemd, kManagerPath, kManager, "ResetFailedUnit", &error.error,
                     nullptr, "s", unit.c_str());
}

std::string ServiceBus::restart(const std::string& unit) {
  BusError error;
  sd_bus_message* reply = nullptr;
  int result = sd_bus_call_method(bus_.get(), kSystemd, kManagerPath, kManager, "RestartUnit",
                                  &error.error, &reply, "ss", unit.c_str(), "replace");
  const Message owned(reply);
  const char* job = nullptr;
  if (result >= 0) result = sd_bus_message_read(reply, "o", &job);
  if (result < 0) fail("restart " + unit, error.text(result));
  while (!ended_jobs_.contains(job)) {
    result = sd_bus_process(bus_.get(), nullptr);
    if (result == 0) result = sd_bus_wait(bus_.get(), UINT64_MAX);
    if (result < 0) fail("wait for the restart of " + unit, std::strerror(-result));
  }
  return ended_jobs_[job];
}

std::vector<std::string> ServiceBus::lines(const std::string& unit,
                                           std::chrono::system_clock::time_point since,
                                           std::size_t limit) {
  sd_journal* opened = nullptr;
  const int scope = SD_JOURNAL_LOCAL_ONLY | (of_user_ ? SD_JOURNAL_CURRENT_USER : 0);
  if (sd_journal_open(&opened, scope) < 0) return {};
  const std::unique_ptr<sd_journal, Unref> journal(opened);
  // Its processes' lines, and systemd's about it.
  match(opened, (of_user_ ? "_SYSTEMD_USER_UNIT=" : "_SYSTEMD_UNIT=") + unit);
  sd_journal_add_disjunction(opened);
  match(opened, (of_user_ ? "USER_UNIT=" : "UNIT=") + unit);
  const auto start =
      std::chrono::duration_cast<std::chrono::microseconds>(since.time_since_epoch());
  sd_journal_wait(opened,
                  static_cast<std::uint64_t>(std::chrono::microseconds(kJournalLag).count()));
  sd_journal_seek_realtime_usec(opened, static_cast<std::uint64_t>(start.count()));
  std::vector<std::string> lines;
  while (sd_journal_next(opened) > 0) {
    lines.push_back(message_of(opened));
    if (lines.size() > limit) lines.erase(lines.begin());
  }
  return lines;
}

std::vector<RunningCommand> ServiceBus::commands() {
  BusError error;
  sd_bus_message* reply = nullptr;
  int result = sd_bus_call_method(bus_.get(), kSystemd, kManagerPath, kManager, "GetUnitProcesses",
                                  &error.error, &reply, "s", kRootSlice);
  const Message owned(reply);
  if (result >= 0) result = sd_bus_message_enter_container(reply, 'a', "(sus)");
  std::vector<RunningCommand> found;
  const char *group = nullptr, *line = nullptr;
  std::uint32_t pid = 0;
  while (result >= 0 && (result = sd_bus_message_read(reply, "(sus)", &group, &pid, &line)) > 0) {
    found.push_back({static_cast<pid_t>(pid), line});
  }
  if (result < 0) fail("list processes", error.text(result));
  return found;
}

}  // namespace mcpu
