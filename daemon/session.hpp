#pragma once

#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/steady_timer.hpp>
#include <memory>
#include <string>

#include "daemon/methods.hpp"
#include "daemon/server.hpp"
#include "proto/codec.hpp"

namespace mcpu {

class Session;

/// What a session needs of its server. Called on the server's thread only.
class SessionHost {
 public:
  virtual ~SessionHost() = default;
  virtual Service& service() = 0;
  virtual const ServerLimits& limits() const = 0;
  /// Runs the task where it belongs; `done` is called on the server's thread, later.
  virtual void run(Task task, std::function<void(Answer)> done) = 0;
  /// Ends the job's waiting when its time is over, whether its session still lives or not.
  virtual void limit_waiting(const Ticket& ticket) = 0;
  /// The session is closed and may be forgotten.
  virtual void closed(const std::shared_ptr<Session>& session) = 0;
};

/// One connection: reads calls, has them run one at a time in their order, and writes the replies.
/// It holds at most one request, one reply or one batch of events at any time, whatever the peer
/// does. Lives on the server's thread; kept alive by the operations under way.
class Session : public std::enable_shared_from_this<Session> {
 public:
  using Socket = asio::local::stream_protocol::socket;

  /// `stranger`: may change nothing. `host` must outlive the io_context's last handler.
  Session(Socket socket, Peer peer, bool stranger, SessionHost& host);

  void start();
  /// Events became durable: a waiting stream goes on.
  void wake();
  /// Closes once the reply under way is written; a stream gets what is there now.
  void finish();
  const Peer& peer() const { return peer_; }
  bool stranger() const { return stranger_; }

 private:
  void read();
  void on_read(std::size_t bytes, bool end);
  void watch_for_hang_up();
  void process();
  bool start_next_call();
  void answered(Answer answer, bool oneway);
  void pump();
  void send(const Reply& reply);
  void write();
  void on_written(std::size_t bytes);
  void close();

  Socket socket_;
  Peer peer_;
  const bool stranger_;
  SessionHost& host_;
  FrameDecoder decoder_;
  std::string out_;
  std::size_t written_ = 0;  ///< how much of `out_` is written
  asio::steady_timer write_limit_, retry_;
  std::unique_ptr<EventStream> stream_;
  bool reading_ = false;
  bool busy_ = false;        ///< a call is worked on
  bool processing_ = false;  ///< process() is on the stack
  bool writing_ = false;
  bool waiting_ = false;     ///< the stream waits for events
  bool end_ = false;         ///< the peer sends nothing more
  bool gone_ = false;        ///< the peer takes nothing more either
  bool last_reply_ = false;  ///< close once `out_` is written
  bool finishing_ = false;
};

}  // namespace mcpu
