#include "daemon/worker/worker_entry.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cstdio>

#include "tests/built_programs.hpp"

namespace mcpu::worker_entry_test {

namespace {

struct Ended {
  int status = 0;
  std::string said;
};

Ended run_by_hand(const std::string& program) {
  Ended ended;
  std::FILE* output = ::popen((program + " 2>&1 3<&-").c_str(), "r");
  for (int byte = std::fgetc(output); byte != EOF; byte = std::fgetc(output)) {
    ended.said += static_cast<char>(byte);
  }
  ended.status = WEXITSTATUS(::pclose(output));
  return ended;
}

}  // namespace

TEST_CASE("a worker that is started by hand says whose it is, and ends") {
  for (const std::string name :
       {"mcp-upgraded-worker", "mcp-upgraded-source", "mcp-upgraded-services"}) {
    const Ended ended = run_by_hand(worker_directory() + "/" + name);
    CHECK(ended.status == 2);
    CHECK(ended.said == name + " is started by mcp-upgraded, not by hand\n");
  }
}

}  // namespace mcpu::worker_entry_test
