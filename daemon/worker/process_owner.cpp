#include "daemon/worker/process_owner.hpp"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "proto/error.hpp"

namespace mcpu {

namespace {

using Capabilities = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

void require(long result) {
  if (result != 0) throw io_error("take the rights of", "another user", errno);
}

/// This thread's, which the C library has no functions for.
Capabilities capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  Capabilities data{};
  require(syscall(SYS_capget, &header, data.data()));
  return data;
}

void set_capabilities(const Capabilities& data) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  require(syscall(SYS_capset, &header, data.data()));
}

/// Real and effective rights of a user, without those that root has over others.
class Rights {
 public:
  explicit Rights(uid_t uid) : before_(capabilities()) {
    // Root again only by the saved one, which nobody is asked by.
    require(setresuid(uid, uid, 0));
    Capabilities none = capabilities();
    for (auto& word : none) word.effective = 0;
    set_capabilities(none);
  }
  ~Rights() {
    if (setresuid(0, 0, 0) != 0) _exit(1);
    set_capabilities(before_);
  }
  Rights(const Rights&) = delete;
  Rights& operator=(const Rights&) = delete;

 private:
  Capabilities before_;
};

}  // namespace

std::vector<pid_t> processes_of(uid_t uid, std::span<const pid_t> pids) {
  std::vector<pid_t> found;
  const Rights rights(uid);
  for (const pid_t pid : pids) {
    if (pid > 1 && kill(pid, 0) == 0) found.push_back(pid);
  }
  return found;
}

}  // namespace mcpu
