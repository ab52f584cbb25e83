#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "daemon/service.hpp"
#include "daemon/unique_fd.hpp"

namespace mcpu {

/// Limits of the server, all per connection unless named otherwise.
struct ServerLimits {
  std::size_t max_request_bytes = 256 * 1024;
  std::size_t max_json_depth = 32;
  std::size_t max_connections = 256;  ///< of the whole server; one more is closed with an error
  /// How many of these only root and the daemon's own user get: others cannot take them all.
  std::size_t reserved_connections = 16;
  std::size_t max_connections_per_uid = 128;
  /// Who may change nothing gets this share alone, all of them together, so that no number of
  /// accounts keeps out those who may.
  std::size_t max_stranger_connections = 128;
  std::size_t max_connections_per_stranger = 32;
  std::chrono::seconds unwritable{30};  ///< a watcher that takes nothing for so long is dropped
};

/// The Varlink server: owns the Asio loop and every connection. run() blocks its caller, which
/// becomes the Asio thread. listen() and on_signal() come before run(); when_idle() and stop() may
/// be called from any thread.
class Server {
 public:
  Server(Service& service, ServerLimits limits);
  ~Server();

  /// Listens on a socket path: 0600 in user mode, 0666 in system mode (rights are checked for each
  /// request). A stale socket file is replaced. REQUIRES: the state lock is held.
  void listen(const std::string& path, bool user_mode);
  /// Serves a listening socket passed by systemd.
  void listen(UniqueFd socket);
  /// Calls `idle` on the Asio thread once nobody was connected and service.idle() held for `after`;
  /// zero: never.
  void when_idle(std::chrono::seconds after, std::function<void()> idle);
  /// Calls `handler` on the Asio thread for SIGTERM, SIGINT (stop) and SIGHUP (reload).
  void on_signal(std::function<void(int signal)> handler);

  /// Calls `work` on the Asio thread after this time, unless the server stops before. Before run(),
  /// or on the Asio thread.
  void after(std::chrono::milliseconds delay, std::function<void()> work);
  /// Calls `handler` on the Asio thread for each new connection, before it is served. Before run().
  void on_connection(std::function<void()> handler);
  /// Calls `listener` on the Asio thread whenever events became durable. Before run().
  void on_events(std::function<void()> listener);

  void run();
  /// Makes run() return after closing listeners and letting written replies out.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mcpu
