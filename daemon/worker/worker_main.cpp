#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <string_view>

#include "daemon/file_system.hpp"
#include "daemon/worker/check_operation.hpp"
#include "daemon/worker/home_operations.hpp"
#include "proto/error.hpp"

using namespace mcpu;

namespace {

constexpr int kLinkFd = 3;

bool is_socket(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

void serve(std::string_view operation, WorkerLink& link) {
  if (operation == "check") {
    serve_checks(link);
  } else {
    serve_home(link, *make_posix_file_system(), ::geteuid() == 0);
  }
}

void report(WorkerLink& link, const Error& error) {
  try {
    link.send_error(error);
  } catch (const Error&) {
    // The daemon has gone: there is nobody to tell.
  }
}

}  // namespace

/// Does one operation for the daemon, which is at the other end of descriptor 3. Rights, limits and
/// environment were set by the daemon before this program was executed.
int main(int argc, char** argv) {
  const std::string_view operation = argc == 2 ? argv[1] : "";
  if ((operation != "config" && operation != "check") || !is_socket(kLinkFd)) {
    std::fputs("mcp-upgraded-worker is started by mcp-upgraded, not by hand\n", stderr);
    return 2;
  }
  ::fcntl(kLinkFd, F_SETFD, FD_CLOEXEC);
  // Digests need none of what the system's OpenSSL configuration can say; reading it takes longer
  // than hashing the files.
  OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  WorkerLink link{UniqueFd(kLinkFd)};
  try {
    serve(operation, link);
    return 0;
  } catch (const Error& error) {
    report(link, error);
  } catch (const std::exception& error) {
    report(link, Error(Code::kWorker, std::string("a worker failed: ") + error.what()));
  }
  return 1;
}
