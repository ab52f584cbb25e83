#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "client/interrupt.hpp"
#include "daemon/unique_fd.hpp"
#include "proto/codec.hpp"
#include "proto/error.hpp"

namespace mcpu {

/// One connection to a daemon: calls of the interface dev.mcplocal.Upgrade, one after another. For
/// one thread. After any exception but the daemon's own typed errors it is of no further use.
class Connection {
 public:
  /// What a reply's parameters are given to; may throw, which ends the call.
  using OnReply = std::function<void(const nlohmann::json& parameters)>;

  /// Throws Error{kNoDaemon} if nobody listens there, kNotAuthorized if the socket may not be used.
  Connection(const std::string& socket_path, const Interrupts& interrupts);

  /// How long the first reply may take of a call that is answered at once by a daemon that is well
  /// (all but Plan, Status with verify, and Watch with follow), and what to do when it does not
  /// come: for Error{kNoDaemon}.
  void limit_answers(std::chrono::milliseconds limit, std::string remedy);

  /// One call with one reply. `method` without the interface: "Status". Throws the daemon's typed
  /// error as the Error it was there, kNoDaemon if the connection is lost, Interrupted.
  nlohmann::json call(std::string_view method, const nlohmann::json& parameters);
  /// A streaming call: each reply is given to `on_reply`, until the last.
  void stream(std::string_view method, const nlohmann::json& parameters, const OnReply& on_reply);

 private:
  /// Empty: without limit.
  using Deadline = std::optional<std::chrono::steady_clock::time_point>;

  Deadline deadline_of(std::string_view method, const nlohmann::json& parameters) const;
  void wait(short events, const Deadline& deadline) const;
  void send(const Call& call, const Deadline& deadline);
  Reply receive(const Deadline& deadline);
  void connect(const std::string& socket_path);

  const Interrupts& interrupts_;
  UniqueFd socket_;
  FrameDecoder decoder_;
  std::string path_;
  std::chrono::milliseconds answer_limit_{30'000};
  std::string remedy_ = "restart it";
};

/// Whether an error means that the connection, not the request, failed: worth another connection.
bool connection_lost(const Error& error);

}  // namespace mcpu
