#include "client/connection.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "client/json_fields.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

constexpr std::string_view kInterface = "dev.mcplocal.Upgrade.";
/// Replies come from a daemon that may run as another user: bounded, but large enough for any list.
constexpr std::size_t kMaxReplyBytes = 64U << 20;
constexpr std::size_t kMaxReplyDepth = 64;
constexpr int kConnectMilliseconds = 10'000;

Error no_daemon(const std::string& path, int errno_value, bool lost) {
  const std::string reason = std::generic_category().message(errno_value);
  const std::string what =
      lost ? "the connection to the daemon at " + path + " was lost (" + reason + ")"
           : "no daemon answers at " + path + " (" + reason + ")";
  return Error(Code::kNoDaemon, what, {{"errno", errno_value}, {"socket", path}, {"lost", lost}});
}

/// The typed error that the daemon sent, as it was thrown there.
Error typed_error(const Reply& reply) {
  const bool ours = reply.error.rfind(kInterface, 0) == 0;
  const std::string name = reply.error.substr(reply.error.rfind('.') + 1);
  const auto message = reply.parameters.find("message");
  std::string what = message != reply.parameters.end() && message->is_string()
                         ? message->get<std::string>()
                         : "the daemon answered " + reply.error + " " + reply.parameters.dump();
  if (!ours) {
    what += "; mcpctl and the daemon may be of different versions: restart the daemon";
    return Error(Code::kInternal, what, reply.parameters);
  }
  for (int code = 0; code <= static_cast<int>(Code::kInternal); ++code) {
    if (code_name(static_cast<Code>(code)) != name) continue;
    return Error(static_cast<Code>(code), what, reply.parameters);
  }
  return Error(Code::kInternal, name + ": " + what, reply.parameters);
}

/// An address for a path of any length: one that does not fit goes through its directory.
class SocketAddress {
 public:
  explicit SocketAddress(const std::string& path) {
    address_.sun_family = AF_UNIX;
    std::string name = path;
    if (name.size() >= sizeof address_.sun_path) {
      const std::size_t slash = name.rfind('/');
      directory_.reset(::open(name.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
      if (!directory_) throw no_daemon(path, errno, false);
      name = "/proc/self/fd/" + std::to_string(directory_.get()) + name.substr(slash);
    }
    if (name.size() >= sizeof address_.sun_path) throw no_daemon(path, ENAMETOOLONG, false);
    std::memcpy(address_.sun_path, name.c_str(), name.size() + 1);
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address_); }
  static constexpr socklen_t size() { return sizeof(sockaddr_un); }

 private:
  sockaddr_un address_{};
  UniqueFd directory_;
};

}  // namespace

bool connection_lost(const Error& error) {
  return error.code() == Code::kNoDaemon && error.context().value("lost", false);
}

Connection::Connection(const std::string& socket_path, const Interrupts& interrupts)
    : interrupts_(interrupts), decoder_(kMaxReplyBytes, kMaxReplyDepth), path_(socket_path) {
  connect(socket_path);
}

void Connection::connect(const std::string& socket_path) {
  socket_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_) throw io_error("create a socket for", socket_path, errno);
  const SocketAddress address(socket_path);
  for (int waited = 0; ::connect(socket_.get(), address.get(), SocketAddress::size()) != 0;) {
    const int error = errno;
    if (error == EACCES || error == EPERM) {
      throw Error(Code::kNotAuthorized,
                  "not allowed to use the socket " + socket_path +
                      "; ask for access, or use --user for an instance of your own",
                  {{"action", "connect"}, {"socket", socket_path}});
    }
    // EAGAIN: more connections wait to be accepted than the daemon's queue holds.
    if (error != EAGAIN || waited >= kConnectMilliseconds) {
      throw no_daemon(socket_path, error, false);
    }
    constexpr int kPause = 10;
    interrupts_.wait(-1, 0, kPause);
    waited += kPause;
  }
}

void Connection::limit_answers(std::chrono::milliseconds limit, std::string remedy) {
  answer_limit_ = limit;
  remedy_ = std::move(remedy);
}

Connection::Deadline Connection::deadline_of(std::string_view method,
                                             const nlohmann::json& parameters) const {
  const bool long_work = method == "Plan" ||
                         (method == "Status" && flag_of(parameters, "verify")) ||
                         (method == "Watch" && flag_of(parameters, "follow"));
  if (long_work) return std::nullopt;
  return std::chrono::steady_clock::now() + answer_limit_;
}

void Connection::wait(short events, const Deadline& deadline) const {
  if (!deadline) {
    interrupts_.wait(socket_.get(), events, -1);
    return;
  }
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(*deadline - std::chrono::steady_clock::now());
  if (left.count() > 0) {
    interrupts_.wait(socket_.get(), events, static_cast<int>(left.count()));
    return;
  }
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(answer_limit_);
  throw Error(Code::kNoDaemon,
              "the daemon at " + path_ + " has not answered for " +
                  std::to_string(seconds.count()) + " s: it is stopped, or hangs; " + remedy_,
              {{"socket", path_}, {"lost", false}});
}

void Connection::send(const Call& call, const Deadline& deadline) {
  const std::string frame = encode_frame(to_json(call));
  for (std::size_t sent = 0; sent < frame.size();) {
    const ssize_t count =
        ::send(socket_.get(), frame.data() + sent, frame.size() - sent, MSG_NOSIGNAL);
    if (count >= 0) {
      sent += static_cast<std::size_t>(count);
    } else if (errno == EAGAIN) {
      wait(POLLOUT, deadline);
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return;  // It hung up, perhaps with a word why: receive() finds that, or nothing.
    } else if (errno != EINTR) {
      throw no_daemon("its socket", errno, true);
    }
  }
}

Reply Connection::receive(const Deadline& deadline) {
  std::array<char, 64 * 1024> buffer;
  for (;;) {
    if (const std::optional<nlohmann::json> frame = decoder_.next()) return reply_from_json(*frame);
    const ssize_t count =
        ::recv(socket_.get(), buffer.data(), std::min(buffer.size(), decoder_.room()), 0);
    if (count > 0) {
      decoder_.append({buffer.data(), static_cast<std::size_t>(count)});
    } else if (count == 0) {
      throw no_daemon("its socket", ECONNRESET, true);
    } else if (errno == EAGAIN) {
      wait(POLLIN, deadline);
    } else if (errno != EINTR) {
      throw no_daemon("its socket", errno, true);
    }
  }
}

nlohmann::json Connection::call(std::string_view method, const nlohmann::json& parameters) {
  const Deadline deadline = deadline_of(method, parameters);
  send({std::string(kInterface) + std::string(method), parameters}, deadline);
  Reply reply = receive(deadline);
  if (!reply.error.empty()) throw typed_error(reply);
  return std::move(reply.parameters);
}

void Connection::stream(std::string_view method, const nlohmann::json& parameters,
                        const OnReply& on_reply) {
  Call call{std::string(kInterface) + std::string(method), parameters};
  call.more = true;
  Deadline deadline = deadline_of(method, parameters);
  send(call, deadline);
  for (;;) {
    const Reply reply = receive(deadline);
    deadline.reset();  // what comes next comes when it happens
    if (!reply.error.empty()) throw typed_error(reply);
    on_reply(reply.parameters);
    if (!reply.continues) return;
  }
}

}  // namespace mcpu
