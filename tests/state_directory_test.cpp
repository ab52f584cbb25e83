#include "daemon/state_directory.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "proto/error.hpp"
#include "tests/client_fixture.hpp"
#include "tests/scratch_directory.hpp"

namespace mcpu::state_directory_test {

using test::read_file;
using test::write_file;

namespace {

Instance instance(const std::string& state, bool user_mode = true) {
  Instance instance;
  instance.user_mode = user_mode;
  instance.layout.state = state;
  instance.socket = state + "/run/socket";
  return instance;
}

unsigned mode_of(const std::string& path) {
  struct stat status = {};
  return lstat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
}

}  // namespace

TEST_CASE("the state directory is made, private to a user and readable for a machine") {
  const auto fs = make_posix_file_system();
  const ScratchDirectory directory;
  make_state_directory(*fs, instance(directory / "a/b/state"));
  CHECK(mode_of(directory / "a/b/state") == 0700);
  CHECK(mode_of(directory / "a") == 0700);
  make_state_directory(*fs, instance(directory / "system", false));
  CHECK(mode_of(directory / "system") == 0755);
}

TEST_CASE("a state directory that others could enter is closed") {
  const auto fs = make_posix_file_system();
  const ScratchDirectory directory;
  std::filesystem::create_directory(directory / "state");
  chmod((directory / "state").c_str(), 0777);
  make_state_directory(*fs, instance(directory / "state"));
  CHECK(mode_of(directory / "state") == 0700);
}

TEST_CASE("a file or a link in place of the state directory is refused") {
  const auto fs = make_posix_file_system();
  const ScratchDirectory directory;
  write_file(directory / "file", "");
  CHECK_THROWS_AS(make_state_directory(*fs, instance(directory / "file")), Error);
  REQUIRE(symlink("/tmp", (directory / "link").c_str()) == 0);
  CHECK_THROWS_AS(make_state_directory(*fs, instance(directory / "link")), Error);
  CHECK(mode_of("/tmp") != 0700);
}

TEST_CASE("a second daemon is refused and told of the first") {
  const auto fs = make_posix_file_system();
  const ScratchDirectory directory;
  const Layout layout{directory.path(), ""};
  const auto first = take_state_lock(*fs, layout, "/run/first/socket");
  CHECK(mode_of(layout.lock_file()) == 0600);
  const nlohmann::json said = nlohmann::json::parse(read_file(layout.lock_file()));
  CHECK(said.at("pid") == getpid());
  CHECK(said.at("socket") == "/run/first/socket");
  try {
    take_state_lock(*fs, layout, "/run/second/socket");
    FAIL("two daemons");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kRefused);
    const std::string text = error.what();
    CHECK(text.find("process " + std::to_string(getpid())) != std::string::npos);
    CHECK(text.find("/run/first/socket") != std::string::npos);
  }
}

TEST_CASE("a lock file left behind, whatever it says, does not keep a daemon from starting") {
  const auto fs = make_posix_file_system();
  const ScratchDirectory directory;
  const Layout layout{directory.path(), ""};
  write_file(layout.lock_file(), std::string(5000, 'x'), 0600);
  take_state_lock(*fs, layout, "/s");
  CHECK(nlohmann::json::parse(read_file(layout.lock_file())).at("socket") == "/s");
}

TEST_CASE("a directory for the socket is made private") {
  const auto fs = make_posix_file_system();
  const ScratchDirectory directory;
  make_socket_directory(*fs, instance(directory.path()));
  CHECK(mode_of(directory / "run") == 0700);
}

}  // namespace mcpu::state_directory_test
