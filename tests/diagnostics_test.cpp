#include "daemon/diagnostics.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include "daemon/unique_fd.hpp"
#include "tests/client_fixture.hpp"
#include "tests/scratch_directory.hpp"

namespace mcpu::diagnostics_test {

using test::read_file;

TEST_CASE("a log file comes into being with the first warning") {
  const ScratchDirectory directory;
  const std::string file = directory / "daemon.log";
  set_up_diagnostics(file, /*verbose=*/false);
  spdlog::info("all is well");
  CHECK_FALSE(std::filesystem::exists(file));
  spdlog::warn("the {} is full", "disk");
  CHECK(read_file(file).find("warning: the disk is full\n") != std::string::npos);
  CHECK(read_file(file).find("all is well") == std::string::npos);
  set_up_diagnostics("", false);
}

TEST_CASE("a log file that cannot be written does not end the daemon") {
  set_up_diagnostics("/proc/no/such/place", false);
  CHECK_NOTHROW(spdlog::error("something"));
  set_up_diagnostics("", false);
}

TEST_CASE("the journal is told by device and inode, not by the variable alone") {
  const ScratchDirectory directory;
  const UniqueFd file(open((directory / "x").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  struct stat status = {};
  REQUIRE(fstat(file.get(), &status) == 0);
  const std::string stream = std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
  CHECK(is_journal(file.get(), stream.c_str()));
  CHECK_FALSE(is_journal(file.get(), "1:2"));
  CHECK_FALSE(is_journal(file.get(), nullptr));
}

}  // namespace mcpu::diagnostics_test
