#include "daemon/configuration_file.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/error.hpp"
#include "tests/client_fixture.hpp"
#include "tests/scratch_directory.hpp"

namespace mcpu::configuration_file_test {

using test::write_file;

namespace {

Instance instance(const std::string& file) {
  Instance instance;
  instance.config_file = file;
  instance.link_directory = "/links";
  return instance;
}

std::string refusal(const Instance& instance) {
  try {
    load_configuration(instance, "/home/ann");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kConfig);
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("without a configuration file the built-in configuration is used") {
  const ScratchDirectory directory;
  const Configuration found = load_configuration(instance(directory / "none.json"), "");
  CHECK(found.file.empty());
  CHECK(found.application("").entry_points[0].link == "/links/mcp");
}

TEST_CASE("a configuration file that was named must exist") {
  const ScratchDirectory directory;
  Instance named = instance(directory / "none.json");
  named.config_required = true;
  CHECK(refusal(named) == directory / "none.json" + ": does not exist");
}

TEST_CASE("a configuration file is read through a link") {
  const ScratchDirectory directory;
  write_file(directory / "real.json", R"({"group": "ops"})");
  REQUIRE(symlink("real.json", (directory / "config.json").c_str()) == 0);
  CHECK(load_configuration(instance(directory / "config.json"), "").group == "ops");
}

TEST_CASE("what is no file is refused without waiting for it") {
  const ScratchDirectory directory;
  REQUIRE(mkfifo((directory / "fifo").c_str(), 0600) == 0);
  CHECK(refusal(instance(directory / "fifo")) == directory / "fifo" + ": is not a regular file");
  CHECK(refusal(instance(directory.path())) == directory.path() + ": is not a regular file");
}

TEST_CASE("for the whole machine a file that others can write is refused") {
  const ScratchDirectory directory;
  write_file(directory / "config.json", "{}", 0666);
  Instance system = instance(directory / "config.json");
  CHECK(refusal(system) == "accepted");
  system.user_mode = false;
  CHECK(refusal(system).find("can be written by others than its owner: chmod go-w") !=
        std::string::npos);
  write_file(directory / "config.json", "{}", 0644);
  CHECK(refusal(system) == "accepted");
}

TEST_CASE("mistakes in the file are told with its name") {
  const ScratchDirectory directory;
  write_file(directory / "config.json", "{\n\"grup\": \"ops\"}");
  CHECK(refusal(instance(directory / "config.json")) ==
        directory / "config.json" + ":2: /grup: is not a known key; did you mean \"group\"?");
}

}  // namespace mcpu::configuration_file_test
