#include "daemon/worker/worker_entry.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdio>
#include <exception>

#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

constexpr int kLinkFd = 3;

bool is_socket(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

void report(WorkerLink& link, const Error& error) {
  try {
    link.send_error(error);
  } catch (const Error&) {
    // The daemon has gone: there is nobody to tell.
  }
}

}  // namespace

int run_worker(const char* program, const std::function<void(WorkerLink&)>& serve) {
  if (!is_socket(kLinkFd)) {
    std::fprintf(stderr, "%s is started by mcp-upgraded, not by hand\n", program);
    return 2;
  }
  ::fcntl(kLinkFd, F_SETFD, FD_CLOEXEC);
  WorkerLink link{UniqueFd(kLinkFd)};
  try {
    serve(link);
    return 0;
  } catch (const Error& error) {
    report(link, error);
  } catch (const std::exception& error) {
    report(link, Error(Code::kWorker, "a worker failed: " + to_utf8(error.what())));
  }
  return 1;
}

}  // namespace mcpu
