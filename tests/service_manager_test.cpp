#include "daemon/service_manager.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "proto/error.hpp"
#include "tests/client_fixture.hpp"
#include "tests/scratch_directory.hpp"

namespace mcpu::service_manager_test {

namespace {

UniqueFd bound(const std::string& path, int type) {
  UniqueFd socket(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  REQUIRE(bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return socket;
}

void pass(const std::string& pid, const std::string& count) {
  setenv("LISTEN_PID", pid.c_str(), 1);
  setenv("LISTEN_FDS", count.c_str(), 1);
}

}  // namespace

TEST_CASE("the service manager is told, and its absence is no failure") {
  const ScratchDirectory directory;
  const UniqueFd manager = bound(directory / "notify", SOCK_DGRAM);
  setenv("NOTIFY_SOCKET", (directory / "notify").c_str(), 1);
  notify_service_manager("READY=1");
  char text[32] = {};
  CHECK(recv(manager.get(), text, sizeof text, 0) == 7);
  CHECK(std::string(text) == "READY=1");
  for (const std::string& other : {directory / "gone", std::string("x"), std::string(500, '/')}) {
    setenv("NOTIFY_SOCKET", other.c_str(), 1);
    notify_service_manager("READY=1");
  }
  unsetenv("NOTIFY_SOCKET");
  notify_service_manager("READY=1");
}

TEST_CASE("sockets passed to another process are not ours, and no child inherits the message") {
  pass("1", "1");
  CHECK(passed_sockets().empty());
  CHECK(std::getenv("LISTEN_FDS") == nullptr);
  CHECK(passed_sockets().empty());
}

TEST_CASE("what was passed must be a listening stream socket") {
  // Descriptor 3 may be anybody's here: it is put back.
  const UniqueFd kept(fcntl(3, F_DUPFD_CLOEXEC, 10));
  const ScratchDirectory directory;
  {
    const UniqueFd stream = bound(directory / "stream", SOCK_STREAM);
    pass(std::to_string(getpid()), "1");
    REQUIRE(dup2(stream.get(), 3) == 3);
    CHECK_THROWS_AS(passed_sockets(), Error);
    REQUIRE(listen(stream.get(), 1) == 0);
    pass(std::to_string(getpid()), "1");
    const auto sockets = passed_sockets();
    REQUIRE(sockets.size() == 1);
    CHECK(sockets[0].get() == 3);
    CHECK((fcntl(3, F_GETFD) & FD_CLOEXEC) != 0);
  }
  if (kept) REQUIRE(dup3(kept.get(), 3, O_CLOEXEC) == 3);
}

}  // namespace mcpu::service_manager_test
