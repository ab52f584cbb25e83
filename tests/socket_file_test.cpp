#include "daemon/socket_file.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "daemon/peer.hpp"
#include "proto/error.hpp"
#include "raw_client.hpp"
#include "scratch_directory.hpp"

namespace mcpu::socket_file_test {

namespace {

struct Fixture {
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(directory), {}));
  }
  ScratchDirectory scratch;
  std::string directory = scratch.path(), path = scratch / "socket";
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a socket has its mode, accepts, and goes with its owner") {
  {
    SocketFile file(path, 0600);
    struct stat info {};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 07777) == 0600);
    RawClient client(path);
    CHECK(files() == 1);
  }
  CHECK(files() == 0);
}

TEST_CASE_FIXTURE(Fixture, "the socket of a dead process is replaced") {
  const UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  SocketFile file(path, 0600);
  CHECK_NOTHROW(RawClient{path});
}

TEST_CASE_FIXTURE(Fixture, "the socket of a living process is not taken away") {
  const SocketFile first(path, 0600);
  CHECK_THROWS_WITH_AS(SocketFile(path, 0600),
                       ("cannot listen: another process listens at " + path +
                        "; stop it, or name another path with --socket")
                           .c_str(),
                       Error);
  CHECK_NOTHROW(RawClient{path});
}

TEST_CASE_FIXTURE(Fixture, "a newer socket at the path is left alone") {
  auto old = std::make_unique<SocketFile>(path, 0600);
  std::filesystem::remove(path);
  {
    SocketFile newer(path, 0666);
    old.reset();
    CHECK_NOTHROW(RawClient{path});
  }
  CHECK(files() == 0);
}

TEST_CASE_FIXTURE(Fixture, "anything else than a socket at the path stays and is named") {
  std::ofstream(path) << "precious";
  try {
    SocketFile file(path, 0600);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kRefused);
    CHECK(std::string(error.what()).find(path) != std::string::npos);
  }
  CHECK(std::filesystem::file_size(path) == 8);
  CHECK(files() == 1);
}

TEST_CASE_FIXTURE(Fixture, "a path longer than a socket address works") {
  directory += "/" + std::string(150, 'd');
  std::filesystem::create_directories(directory);
  path = directory + "/socket";
  SocketFile file(path, 0600);
  CHECK(std::filesystem::is_socket(path));
}

TEST_CASE_FIXTURE(Fixture,
                  "a missing directory and an impossible name are errors with the way out") {
  try {
    SocketFile file(directory + "/missing/socket", 0600);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find("--socket") != std::string::npos);
  }
  CHECK_THROWS_AS(SocketFile(directory + "/" + std::string(120, 'n'), 0600), Error);
  CHECK(files() == 0);
}

TEST_CASE("the kernel says who is at the other end") {
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  const UniqueFd one(pair[0]), other(pair[1]);
  const Peer peer = peer_of(one.get());
  CHECK(peer.uid == ::getuid());
  CHECK(peer.gid == ::getgid());
  CHECK(peer.pid == ::getpid());
  CHECK_THROWS_AS(peer_of(-1), Error);
}

}  // namespace mcpu::socket_file_test
