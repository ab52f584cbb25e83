#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "daemon/file_system.hpp"
#include "daemon/worker/source_operation.hpp"
#include "daemon/worker/worker_entry.hpp"

namespace {

constexpr rlim_t kDataBytes = rlim_t{1} << 30;
constexpr rlim_t kAddressBytes = rlim_t{4} << 30;
constexpr int kBlockGivenBackBytes = 64 << 10;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kLimitMemory = false;  // the sanitizers reserve terabytes
#elif defined(__has_feature)
constexpr bool kLimitMemory = !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer);
#else
constexpr bool kLimitMemory = true;
#endif

void limit(__rlimit_resource_t resource, rlim_t value) {
  rlimit current{};
  getrlimit(resource, &current);
  const rlim_t most = current.rlim_max < value ? current.rlim_max : value;
  const rlimit wanted{most, most};
  setrlimit(resource, &wanted);
}

/// One arena for all threads, and every larger block given back at once: what is read for one file
/// does not stay for the next.
void keep_memory_small() {
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, kBlockGivenBackBytes);
  mallopt(M_TRIM_THRESHOLD, kBlockGivenBackBytes);
}

/// A source is somebody else's: what it makes this process do stays small, and gains nothing.
void confine() {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  limit(RLIMIT_CORE, 0);
  if (!kLimitMemory) return;
  limit(RLIMIT_DATA, kDataBytes);
  limit(RLIMIT_AS, kAddressBytes);
}

}  // namespace

/// Reads a source for the daemon.
int main() {
  return mcpu::run_worker("mcp-upgraded-source", [](mcpu::WorkerLink& link) {
    confine();
    keep_memory_small();
    mcpu::run_source_operation(link, *mcpu::make_posix_file_system());
  });
}
