#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

struct sd_bus;
struct sd_bus_message;

namespace mcpu {

/// A process as a service manager sees it.
struct RunningCommand {
  pid_t pid = 0;
  std::string line;  ///< its command line, words with blanks in them quoted
};

/// A connection to a service manager: the system's, or the one of the user this process runs as.
/// Straight to its own socket: no message bus has to run. The only code that knows sd-bus and
/// sd-journal. One thread.
class ServiceBus {
 public:
  /// Throws Error{kIo} when there is no manager to be reached.
  explicit ServiceBus(bool of_user);

  /// Why a unit cannot be loaded; empty: it can.
  std::string why_unknown(const std::string& unit);
  /// A property of the unit as text; empty if it has none of this name.
  std::string state(const std::string& unit, const char* property);
  /// How often systemd itself has restarted a service since somebody last did.
  unsigned restarts(const std::string& unit);
  /// Takes back that the unit failed, and how often it was started: neither keeps the next start.
  void forget_failures(const std::string& unit);
  /// Restarts the unit and waits for the job's end; systemd's word for it ("done", "failed" ...).
  /// Throws Error{kWorker} when systemd refuses.
  std::string restart(const std::string& unit);
  /// What the journal has of the unit since then, the newest `limit` lines.
  std::vector<std::string> lines(const std::string& unit,
                                 std::chrono::system_clock::time_point since, std::size_t limit);
  /// All processes that the manager has in its care, whoever they belong to, also those that /proc
  /// hides from this one.
  std::vector<RunningCommand> commands();

 private:
  static int on_job_removed(sd_bus_message* message, void* bus, void* error);
  std::string path_of(const std::string& unit);

  struct Close {
    void operator()(sd_bus* bus) const;
  };
  bool of_user_;
  std::unique_ptr<sd_bus, Close> bus_;
  std::map<std::string, std::string> ended_jobs_;  ///< result by the job's path
};

}  // namespace mcpu
