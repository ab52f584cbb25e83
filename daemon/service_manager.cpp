#include "daemon/service_manager.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

#include "proto/error.hpp"

namespace mcpu {
namespace {

constexpr int kFirstDescriptor = 3;
constexpr int kMostDescriptors = 16;

/// A variable's value as a number; 0 if it is none.
int number_in(const char* variable) {
  const char* value = std::getenv(variable);
  int number = 0;
  if (value) std::from_chars(value, value + std::strlen(value), number);
  return number;
}

bool is_listening_stream(int descriptor) {
  int domain = 0, type = 0, listening = 0;
  const auto option = [&](int name, int& value) {
    socklen_t size = sizeof value;
    return getsockopt(descriptor, SOL_SOCKET, name, &value, &size) == 0;
  };
  return option(SO_DOMAIN, domain) && domain == AF_UNIX && option(SO_TYPE, type) &&
         type == SOCK_STREAM && option(SO_ACCEPTCONN, listening) && listening != 0;
}

}  // namespace

void notify_service_manager(std::string_view state) noexcept {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (!path || (path[0] != '/' && path[0] != '@')) return;
  const std::size_t size = std::strlen(path);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (size >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, path, size);
  if (path[0] == '@') address.sun_path[0] = '\0';  // an abstract name
  const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return;
  const auto address_size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size);
  sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL,
         reinterpret_cast<const sockaddr*>(&address), address_size);
}

std::optional<std::chrono::milliseconds> watchdog_time() {
  const char* process = std::getenv("WATCHDOG_PID");
  if (process && number_in("WATCHDOG_PID") != getpid()) return std::nullopt;
  const int microseconds = number_in("WATCHDOG_USEC");
  if (microseconds < 1000) return std::nullopt;
  return std::chrono::milliseconds(microseconds / 1000);
}

void notify_reloading() noexcept {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  const long long microseconds = time.tv_sec * 1'000'000LL + time.tv_nsec / 1000;
  std::array<char, 64> message{};
  std::snprintf(message.data(), message.size(), "RELOADING=1\nMONOTONIC_USEC=%lld", microseconds);
  notify_service_manager(message.data());
}

std::vector<UniqueFd> passed_sockets() {
  const int count = number_in("LISTEN_PID") == getpid() ? number_in("LISTEN_FDS") : 0;
  for (const char* variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) unsetenv(variable);
  std::vector<UniqueFd> sockets;
  for (int fd = kFirstDescriptor; fd < kFirstDescriptor + std::min(count, kMostDescriptors); ++fd) {
    if (!is_listening_stream(fd))
      throw Error(Code::kUsage, "descriptor " + std::to_string(fd) +
                                    " that the service manager passed is no listening Unix stream "
                                    "socket; correct the socket unit");
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    sockets.emplace_back(fd);
  }
  return sockets;
}

}  // namespace mcpu
