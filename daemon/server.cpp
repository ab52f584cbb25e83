#include "daemon/server.hpp"

#include <unistd.h>

#include <algorithm>
#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <asio/signal_set.hpp>
#include <asio/thread_pool.hpp>
#include <atomic>
#include <csignal>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <system_error>
#include <vector>

#include "daemon/session.hpp"
#include "daemon/socket_file.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

using asio::local::stream_protocol;

/// How long stop() waits for replies to be taken.
constexpr std::chrono::seconds kDrain{2};
constexpr std::chrono::milliseconds kAcceptAgain{100};
constexpr std::chrono::seconds kIdleCheck{2};

void reject(stream_protocol::socket& socket, std::size_t limit) {
  const std::string message = "too many connections: at most " + std::to_string(limit) +
                              " are served at a time; close some and try again";
  const std::string frame =
      encode_frame(to_json(Reply{{{"message", message}, {"limit", limit}},
                                 false,
                                 std::string(kInterfacePrefix) + "TooManyConnections"}));
  std::error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(frame), ignored);
}

}  // namespace

struct Server::Impl final : SessionHost {
  /// Carries «something became durable» from the event writer's thread to the server's: many wakes
  /// become one, and none arrives after the server is gone.
  class Waker {
   public:
    Waker(asio::io_context& loop, std::function<void()> wake)
        : loop_(&loop), wake_(std::move(wake)) {}

    static void post(const std::shared_ptr<Waker>& self) {
      if (self->posted_.exchange(true)) return;
      const std::lock_guard lock(self->mutex_);
      if (self->loop_ == nullptr) return;
      asio::post(*self->loop_, [self] {
        self->posted_ = false;
        self->wake_();
      });
    }
    void detach() {
      const std::lock_guard lock(mutex_);
      loop_ = nullptr;
    }

   private:
    std::mutex mutex_;
    asio::io_context* loop_;
    std::function<void()> wake_;
    std::atomic<bool> posted_{false};
  };

  Impl(Service& the_service, ServerLimits the_limits)
      : service_(the_service),
        limits_(the_limits),
        signals_(loop_),
        idle_timer_(loop_),
        drain_(loop_) {
    waker_ = std::make_shared<Waker>(loop_, [this] { wake_all(); });
    service_.events().on_durable([waker = waker_] { Waker::post(waker); });
  }
  ~Impl() override {
    waker_->detach();
    short_.join();
    long_.join();
  }

  Service& service() override { return service_; }
  const ServerLimits& limits() const override { return limits_; }
  void run(Task task, std::function<void(Answer)> done) override;
  void limit_waiting(const Ticket& ticket) override;
  void closed(const std::shared_ptr<Session>& session) override;

  struct Listener {
    explicit Listener(asio::io_context& loop) : acceptor(loop), again(loop) {}
    stream_protocol::acceptor acceptor;
    asio::steady_timer again;  ///< after an error, no descriptors left for example
  };
  void add_listener(UniqueFd socket);
  void accept(Listener& listener);
  void serve(stream_protocol::socket socket);
  /// The limit that one more connection of this peer would break; empty: none.
  std::optional<std::size_t> broken_limit(const Peer& peer, bool stranger) const;
  void wake_all();
  void wait_for_signal();
  void arm_idle(std::chrono::milliseconds after);
  void check_idle();
  void shut_down();

  Service& service_;
  const ServerLimits limits_;
  asio::io_context loop_{1};
  std::shared_ptr<Waker> waker_;
  std::vector<SocketFile> files_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::set<std::shared_ptr<Session>> sessions_;
  std::map<std::uint32_t, std::size_t> connections_of_;
  std::size_t strangers_ = 0;  ///< connections of peers who may change nothing
  std::set<std::shared_ptr<asio::steady_timer>> waits_;
  asio::signal_set signals_;
  std::function<void(int)> on_signal_;
  asio::steady_timer idle_timer_;
  std::chrono::milliseconds idle_after_{0};
  std::function<void()> on_idle_;
  std::function<void()> on_connection_;
  std::function<void()> on_events_;
  bool was_busy_ = false;  ///< at the last look at the service
  asio::steady_timer drain_;
  bool stopping_ = false;
  asio::thread_pool short_{2}, long_{2};
};

void Server::Impl::run(Task task, std::function<void(Answer)> done) {
  if (task.where == Where::kServer) return done(task.run());
  auto& pool = task.where == Where::kShort ? short_ : long_;
  asio::post(pool, [this, task = std::move(task), done = std::move(done)]() mutable {
    auto answer = std::make_shared<Answer>(task.run());
    // Moved, not copied: the last owner of the session must be the server's thread.
    asio::post(loop_, [answer, done = std::move(done)] { done(std::move(*answer)); });
  });
}

void Server::Impl::limit_waiting(const Ticket& ticket) {
  if (ticket.disposition != "queued") return;
  const auto timer = std::make_shared<asio::steady_timer>(loop_, ticket.wait);
  waits_.insert(timer);
  timer->async_wait([this, timer, job = ticket.job](std::error_code error) {
    waits_.erase(timer);
    if (error) return;
    asio::post(short_, [this, job] {
      try {
        service_.expire(job);
      } catch (const std::exception&) {
        // The service reports its own failures; the job keeps its place.
      }
    });
  });
}

void Server::Impl::closed(const std::shared_ptr<Session>& session) {
  if (sessions_.erase(session) == 0) return;
  const auto count = connections_of_.find(session->peer().uid);
  if (--count->second == 0) connections_of_.erase(count);
  if (session->stranger()) --strangers_;
  if (!sessions_.empty()) return;
  if (stopping_) return loop_.stop();
  was_busy_ = false;
  arm_idle(idle_after_);
}

void Server::Impl::add_listener(UniqueFd socket) {
  auto listener = std::make_unique<Listener>(loop_);
  listener->acceptor.assign(stream_protocol(), socket.get());
  socket.release();
  accept(*listener);
  listeners_.push_back(std::move(listener));
}

void Server::Impl::accept(Listener& listener) {
  listener.acceptor.async_accept(
      [this, &listener](std::error_code error, stream_protocol::socket socket) {
        if (stopping_ || error == asio::error::operation_aborted) return;
        if (!error) {
          serve(std::move(socket));
          return accept(listener);
        }
        listener.again.expires_after(kAcceptAgain);
        listener.again.async_wait([this, &listener](std::error_code stopped) {
          if (!stopped) accept(listener);
        });
      });
}

void Server::Impl::serve(stream_protocol::socket socket) {
  Peer peer;
  try {
    peer = peer_of(socket.native_handle());
  } catch (const Error&) {
    return;  // Gone already.
  }
  const bool stranger = !service_.may_change(peer);
  if (const auto limit = broken_limit(peer, stranger)) return reject(socket, *limit);
  ++connections_of_[peer.uid];
  if (stranger) ++strangers_;
  idle_timer_.cancel();
  if (on_connection_) on_connection_();
  const auto session =
      std::make_shared<Session>(std::move(socket), std::move(peer), stranger, *this);
  sessions_.insert(session);
  session->start();
}

std::optional<std::size_t> Server::Impl::broken_limit(const Peer& peer, bool stranger) const {
  const bool favoured = peer.uid == 0 || peer.uid == ::geteuid();
  const std::size_t room = limits_.max_connections - (favoured ? 0 : limits_.reserved_connections);
  if (sessions_.size() >= room) return room;
  if (stranger && strangers_ >= limits_.max_stranger_connections) {
    return limits_.max_stranger_connections;
  }
  const std::size_t own =
      stranger ? limits_.max_connections_per_stranger : limits_.max_connections_per_uid;
  const auto count = connections_of_.find(peer.uid);
  if (count != connections_of_.end() && count->second >= own) return own;
  return std::nullopt;
}

void Server::Impl::wake_all() {
  // A session that closes while it is woken leaves the set.
  const std::vector<std::shared_ptr<Session>> all(sessions_.begin(), sessions_.end());
  for (const auto& session : all) session->wake();
  if (on_events_) on_events_();
}

void Server::Impl::wait_for_signal() {
  signals_.async_wait([this](std::error_code error, int signal) {
    if (error) return;
    on_signal_(signal);
    wait_for_signal();
  });
}

void Server::Impl::arm_idle(std::chrono::milliseconds after) {
  if (!on_idle_ || stopping_ || !sessions_.empty()) return;
  idle_timer_.expires_after(after);
  idle_timer_.async_wait([this](std::error_code error) {
    if (!error && sessions_.empty()) check_idle();
  });
}

void Server::Impl::check_idle() {
  const bool busy = !service_.idle();
  if (!busy && !was_busy_) {
    on_idle_();
  } else if (busy) {
    was_busy_ = true;
    arm_idle(std::min<std::chrono::milliseconds>(idle_after_, kIdleCheck));
  } else {
    was_busy_ = false;
    arm_idle(idle_after_);
  }
}

void Server::Impl::shut_down() {
  if (std::exchange(stopping_, true)) return;
  for (const auto& listener : listeners_) {
    listener->acceptor.close();
    listener->again.cancel();
  }
  files_.clear();
  idle_timer_.cancel();
  signals_.cancel();
  const std::vector<std::shared_ptr<Session>> all(sessions_.begin(), sessions_.end());
  for (const auto& session : all) session->finish();
  if (sessions_.empty()) return loop_.stop();
  drain_.expires_after(kDrain);
  drain_.async_wait([this](std::error_code error) {
    if (!error) loop_.stop();
  });
}

Server::Server(Service& service, ServerLimits limits)
    : impl_(std::make_unique<Impl>(service, limits)) {}

Server::~Server() = default;

void Server::listen(const std::string& path, bool user_mode) {
  SocketFile file(path, user_mode ? 0600 : 0666);
  impl_->add_listener(file.take_descriptor());
  impl_->files_.push_back(std::move(file));
}

void Server::listen(UniqueFd socket) { impl_->add_listener(std::move(socket)); }

void Server::when_idle(std::chrono::seconds after, std::function<void()> idle) {
  asio::post(impl_->loop_, [this, after, idle = std::move(idle)] {
    impl_->idle_after_ = after;
    impl_->on_idle_ = after.count() > 0 ? idle : nullptr;
    impl_->arm_idle(after);
  });
}

void Server::on_signal(std::function<void(int signal)> handler) {
  impl_->on_signal_ = std::move(handler);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) impl_->signals_.add(signal);
  impl_->wait_for_signal();
}

void Server::after(std::chrono::milliseconds delay, std::function<void()> work) {
  const auto timer = std::make_shared<asio::steady_timer>(impl_->loop_, delay);
  timer->async_wait([timer, work = std::move(work)](std::error_code error) {
    if (!error) work();
  });
}

void Server::on_connection(std::function<void()> handler) {
  impl_->on_connection_ = std::move(handler);
}

void Server::on_events(std::function<void()> listener) { impl_->on_events_ = std::move(listener); }

void Server::run() {
  const auto work = asio::make_work_guard(impl_->loop_);
  impl_->loop_.run();
}

void Server::stop() {
  asio::post(impl_->loop_, [this] { impl_->shut_down(); });
}

}  // namespace mcpu
