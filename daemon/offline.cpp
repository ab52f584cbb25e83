#include "daemon/offline.hpp"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <thread>

#include "proto/error.hpp"

namespace mcpu {

namespace {

constexpr std::chrono::milliseconds kLook{10};

}  // namespace

int recover_offline(UpgradeService& service) {
  const std::string pending = service.settle();
  if (pending.empty()) {
    spdlog::info("nothing is left to recover");
    return 0;
  }
  spdlog::error("needs attention: {}", pending);
  return exit_code(Outcome::kNotRestored);
}

int roll_back_offline(UpgradeService& service, const std::string& app,
                      const std::optional<std::string>& to) {
  if (const int code = recover_offline(service); code != 0) return code;
  JobRequest request;
  request.kind = JobKind::kRollback;
  request.app = app;
  request.to = to;
  Peer self;
  self.uid = geteuid();
  self.gid = getegid();
  self.pid = getpid();
  const JobId job = service.submit(request, self).job;
  std::optional<JobResult> result;
  while (!(result = service.result(job))) std::this_thread::sleep_for(kLook);
  return exit_code(result->outcome);
}

}  // namespace mcpu
