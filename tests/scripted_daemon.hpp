#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "daemon/unique_fd.hpp"
#include "proto/codec.hpp"

namespace mcpu::test {

/// The daemon's end of one connection.
class ScriptedPeer {
 public:
  explicit ScriptedPeer(int fd) : fd_(fd) {}

  /// The next call; an empty object when the client is gone.
  nlohmann::json call() {
    for (;;) {
      if (auto frame = decoder_.next()) return *frame;
      char buffer[4096];
      const ssize_t count = ::read(fd_, buffer, sizeof buffer);
      if (count <= 0) return nlohmann::json::object();
      decoder_.append({buffer, static_cast<std::size_t>(count)});
    }
  }
  void reply(const nlohmann::json& parameters, bool continues = false) {
    raw(encode_frame(to_json(Reply{parameters, continues, ""})));
  }
  void error(const std::string& name, const nlohmann::json& parameters) {
    raw(encode_frame(to_json(Reply{parameters, false, name})));
  }
  void raw(const std::string& bytes) {
    if (::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) return;
  }

 private:
  int fd_;
  FrameDecoder decoder_{1U << 20, 32};
};

/// A listening socket whose connections are played one after another, each by the next scene; the
/// connection ends with its scene.
class ScriptedDaemon {
 public:
  using Scene = std::function<void(ScriptedPeer&)>;

  ScriptedDaemon(const std::string& path, std::vector<Scene> scenes)
      : listening_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), scenes_(std::move(scenes)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    if (::bind(listening_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listening_.get(), 8) != 0) {
      throw std::runtime_error("cannot listen at " + path);
    }
    thread_ = std::thread([this] { play(); });
  }
  ScriptedDaemon(const ScriptedDaemon&) = delete;
  ScriptedDaemon& operator=(const ScriptedDaemon&) = delete;
  ~ScriptedDaemon() {
    ::shutdown(listening_.get(), SHUT_RDWR);
    thread_.join();
  }

 private:
  void play() {
    for (const Scene& scene : scenes_) {
      const UniqueFd connection(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!connection) return;
      ScriptedPeer peer(connection.get());
      scene(peer);
    }
  }

  UniqueFd listening_;
  std::vector<Scene> scenes_;
  std::thread thread_;
};

}  // namespace mcpu::test
