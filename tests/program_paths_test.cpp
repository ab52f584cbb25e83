#include "daemon/program_paths.hpp"

#include <doctest/doctest.h>

#include "proto/error.hpp"
#include "tests/client_fixture.hpp"
#include "tests/scratch_directory.hpp"

namespace mcpu::program_paths_test {

using test::write_file;

TEST_CASE("the programs are found where they were built") {
  const ProgramPaths paths = find_programs_beside(test::built("daemon"));
  CHECK(paths.workers == test::built("daemon/worker"));
  CHECK(paths.launcher == test::built("client/mcp-launch"));
}

TEST_CASE("the programs are found beside an installation that was moved") {
  const ScratchDirectory prefix;
  const std::string programs = prefix / "libexec/mcp-upgraded";
  for (const char* name :
       {"mcp-upgraded-worker", "mcp-upgraded-source", "mcp-upgraded-services", "mcp-launch"})
    write_file(programs + "/" + name, "", 0755);
  const ProgramPaths paths = find_programs_beside(prefix / "sbin");
  CHECK(paths.workers == programs);
  CHECK(paths.launcher == programs + "/mcp-launch");
  CHECK(find_programs(programs).workers == programs);
}

TEST_CASE("an incomplete installation is named") {
  const ScratchDirectory directory;
  write_file(directory / "mcp-launch", "", 0755);
  try {
    find_programs(directory.path());
    FAIL("found");
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find(directory.path()) != std::string::npos);
  }
}

}  // namespace mcpu::program_paths_test
