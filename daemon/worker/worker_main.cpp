#include <unistd.h>

#include <string_view>

#include "daemon/file_system.hpp"
#include "daemon/worker/check_operation.hpp"
#include "daemon/worker/home_operations.hpp"
#include "daemon/worker/worker_entry.hpp"
#include "proto/error.hpp"

using namespace mcpu;

namespace {

void serve(std::string_view operation, WorkerLink& link) {
  if (operation == "check") return serve_checks(link);
  if (operation == "config") {
    return serve_home(link, *make_posix_file_system(), ::geteuid() == 0);
  }
  throw Error(Code::kWorker, "the worker knows no operation \"" + std::string(operation) +
                                 "\": daemon and worker are of different versions");
}

}  // namespace

/// Works in a user's home, or runs checks there, as its argument says.
int main(int argc, char** argv) {
  return run_worker("mcp-upgraded-worker",
                    [&](WorkerLink& link) { serve(argc == 2 ? argv[1] : "", link); });
}
