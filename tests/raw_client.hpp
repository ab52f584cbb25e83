#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>

#include "daemon/unique_fd.hpp"
#include "proto/codec.hpp"

namespace mcpu {

/// A client that can also misbehave: sends any bytes, reads frames or does not. Every wait ends
/// after ten seconds with an exception.
class RawClient {
 public:
  explicit RawClient(const std::string& path)
      : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    if (::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      throw std::runtime_error("cannot connect to " + path);
    }
  }

  /// Sends bytes as they are; false once the other side does not take them any more.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      wait(POLLOUT);
      const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  bool call(const std::string& method, nlohmann::json parameters = nlohmann::json::object(),
            bool more = false) {
    Call call;
    call.method = method.find('.') == std::string::npos ? "dev.mcplocal.Upgrade." + method : method;
    call.parameters = std::move(parameters);
    call.more = more;
    return send(encode_frame(to_json(call)));
  }
  /// The next reply; empty when the connection was closed.
  std::optional<Reply> receive() {
    for (;;) {
      if (const auto frame = decoder_.next()) return reply_from_json(*frame);
      wait(POLLIN);
      std::string bytes(64 * 1024, '\0');
      const ssize_t got = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
      if (got <= 0) return std::nullopt;
      decoder_.append(std::string_view(bytes).substr(0, static_cast<std::size_t>(got)));
    }
  }
  /// One call and its one reply.
  Reply ask(const std::string& method, nlohmann::json parameters = nlohmann::json::object()) {
    call(method, std::move(parameters));
    return receive().value();
  }
  void finish_sending() { ::shutdown(socket_.get(), SHUT_WR); }
  int descriptor() const { return socket_.get(); }

 private:
  void wait(short events) {
    pollfd descriptor{socket_.get(), events, 0};
    if (::poll(&descriptor, 1, 10'000) != 1) throw std::runtime_error("nothing within 10 s");
  }

  UniqueFd socket_;
  FrameDecoder decoder_{64 << 20, 64};
};

}  // namespace mcpu
