#pragma once

#include <functional>
#include <optional>
#include <string>

#include "client/connection.hpp"
#include "client/daemon_starter.hpp"
#include "client/instance_choice.hpp"

namespace mcpu {

/// The way to one instance's daemon: finds its socket, and in user mode starts it when nobody
/// answers. For one thread.
class DaemonAccess {
 public:
  /// `note` is told what a person may want to know: that a daemon was started.
  DaemonAccess(InstanceChoice choice, const Interrupts& interrupts,
               std::function<void(const std::string&)> note);

  /// A connection to the daemon that is there, or that we start: whoever wins a race of several.
  /// Throws Error{kNoDaemon} with the reason and what to do, kNotAuthorized, Interrupted.
  Connection open();

  /// One call and its reply, over a connection of its own; if that is lost before the answer, once
  /// more over another. Only for methods that may be done twice.
  nlohmann::json call(std::string_view method, const nlohmann::json& parameters);

  /// Asks the daemon whether it is the one that --user, --system, --config and --state-dir
  /// describe; nothing if none of them was given. Throws Error{kUsage} naming both values and what
  /// to do.
  void check_options();

  const InstanceChoice& choice() const { return choice_; }
  const Interrupts& interrupts() const { return interrupts_; }

 private:
  std::optional<Connection> try_open();
  std::optional<Connection> try_socket(const std::string& path);
  Connection start();
  Connection wait_for(const StartedDaemon& daemon);
  std::string remedy_for_silence() const;
  Error nobody() const;

  InstanceChoice choice_;
  const Interrupts& interrupts_;
  std::function<void(const std::string&)> note_;
  std::string last_reason_;
};

/// The command line that starts an instance's daemon on demand.
std::vector<std::string> daemon_command(const std::string& program, const InstanceChoice& choice);

}  // namespace mcpu
