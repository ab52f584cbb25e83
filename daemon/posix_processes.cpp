#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <optional>
#include <vector>

#include "daemon/processes.hpp"
#include "daemon/worker/process_tree.hpp"
#include "proto/error.hpp"

namespace mcpu {
namespace {

using Clock = std::chrono::steady_clock;

/// A check worker first ends its own processes when its link closes; it knows them best.
constexpr std::chrono::milliseconds kGoodbye{500};
/// What a killed process may take to go; only an uninterruptible system call takes longer.
constexpr std::chrono::milliseconds kDying{400};
/// What a check may write into one file: many times what any needs, and no disk is filled by one
/// that runs wild.
constexpr rlim_t kCheckFileBytes = rlim_t{1} << 30;
constexpr int kWorkerLinkFd = 3;
/// Where descriptors for the child wait, so that placing 0 to 3 cannot run over them.
constexpr int kFirstFreeFd = 10;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // shadow memory would exceed any limit
#elif defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool kSanitized = false;
#endif

const char* program_name(WorkerKind kind) {
  if (kind == WorkerKind::kServices) return "mcp-upgraded-services";
  return kind == WorkerKind::kSource ? "mcp-upgraded-source" : "mcp-upgraded-worker";
}

/// What mcp-upgraded-worker is to do; null for a program that does one thing.
const char* operation_name(WorkerKind kind) {
  if (kind == WorkerKind::kCheck) return "check";
  return kind == WorkerKind::kConfig || kind == WorkerKind::kLock ? "config" : nullptr;
}

/// Everything the child needs, made before the fork: in the child of a process with threads only
/// async-signal-safe calls are allowed, no allocation above all.
struct Launch {
  std::string program;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::vector<char*> argv;
  std::vector<char*> envp;
  std::string failure_start;  ///< of the message that the child sends if it cannot start
  bool switch_user = false;
  bool powerless = false;  ///< without capabilities, even as root
  bool die_with_parent = true;
  rlim_t data_bytes = RLIM_INFINITY;
  rlim_t file_bytes = RLIM_INFINITY;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  pid_t parent = 0;
  int link = -1;
  int null = -1;
};

// --- In the child ---------------------------------------------------------------------------

/// Tells the daemon why, as an error frame on the link, and ends the child.
[[noreturn]] void fail(const Launch& launch, const char* step) {
  const char* reason = ::strerrordesc_np(errno);
  std::array<char, 1024> frame{};
  std::size_t used = sizeof(WorkerLink::Header);
  const auto add = [&](const char* text, std::size_t size) {
    const auto fitting = std::min(size, frame.size() - 8 - used);
    std::memcpy(frame.data() + used, text, fitting);
    used += fitting;
  };
  add(launch.failure_start.data(), launch.failure_start.size());
  add(step, std::strlen(step));
  add(": ", 2);
  if (reason != nullptr) add(reason, std::strlen(reason));
  std::memcpy(frame.data() + used, "\"}}", 3);
  used += 3;
  const auto header = WorkerLink::header(WorkerLink::kJson, used - sizeof(WorkerLink::Header));
  std::memcpy(frame.data(), header.data(), header.size());
  ::send(kWorkerLinkFd, frame.data(), used, MSG_NOSIGNAL);
  ::_exit(127);
}

void reset_signals() {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &standard, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void place_descriptors(const Launch& launch) {
  for (int target = 0; target < kWorkerLinkFd; ++target) ::dup2(launch.null, target);
  if (::dup2(launch.link, kWorkerLinkFd) < 0) ::_exit(127);
  if (::syscall(SYS_close_range, kWorkerLinkFd + 1, ~0U, 0) != 0) {
    fail(launch, "closing inherited files failed");
  }
}

/// System calls instead of the C library's functions: those would change all threads' rights, and
/// look for threads that the child does not have.
void switch_user(const Launch& launch) {
  if (::syscall(SYS_setgroups, launch.groups.size(), launch.groups.data()) != 0 ||
      ::syscall(SYS_setresgid, launch.gid, launch.gid, launch.gid) != 0 ||
      ::syscall(SYS_setresuid, launch.uid, launch.uid, launch.uid) != 0) {
    fail(launch, "taking the user's rights failed");
  }
}

/// Executing a program as root gives them back, but not to one without new privileges.
void give_up_capabilities(const Launch& launch) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> none{};
  if (::syscall(SYS_capset, &header, none.data()) != 0) {
    fail(launch, "giving up capabilities failed");
  }
}

void limit_resource(__rlimit_resource_t resource, rlim_t most) {
  if (most == RLIM_INFINITY) return;
  const rlimit limit{most, most};
  ::setrlimit(resource, &limit);
}

void limit_resources(const Launch& launch) {
  limit_resource(RLIMIT_CORE, 0);
  limit_resource(RLIMIT_DATA, launch.data_bytes);
  limit_resource(RLIMIT_FSIZE, launch.file_bytes);
}

[[noreturn]] void run_child(const Launch& launch) {
  place_descriptors(launch);
  reset_signals();
  if (::setsid() < 0) fail(launch, "making a session failed");
  if (launch.switch_user) switch_user(launch);
  if (launch.powerless) give_up_capabilities(launch);
  limit_resources(launch);
  ::umask(022);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0) {
    fail(launch, "giving up new privileges failed");
  }
  if (launch.die_with_parent) {
    // After the change of rights, which clears it.
    ::prctl(PR_SET_PDEATHSIG, static_cast<unsigned long>(SIGKILL), 0UL, 0UL, 0UL);
    if (::getppid() != launch.parent) ::_exit(127);
  }
  if (::chdir("/") != 0) fail(launch, "changing to / failed");
  ::execve(launch.program.c_str(), launch.argv.data(), launch.envp.data());
  fail(launch, "executing it failed");
}

// --- In the daemon --------------------------------------------------------------------------

std::vector<std::string> build_environment(WorkerKind kind, const Identity& who, bool own_user) {
  std::vector<std::string> environment{
      "HOME=" + who.home,    "USER=" + who.name,
      "LOGNAME=" + who.name, "SHELL=" + who.shell,
      "LANG=C.UTF-8",        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  const auto pass_on = [&](const char* name) {
    if (const char* value = std::getenv(name)) {
      environment.push_back(std::string(name) + "=" + value);
    }
  };
  pass_on("TZ");
  // In system mode the agent would be another user's.
  if (kind == WorkerKind::kSource && own_user) pass_on("SSH_AUTH_SOCK");
  return environment;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (auto& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<gid_t> groups_of(const Identity& who) {
  std::vector<gid_t> groups(32);
  int count = static_cast<int>(groups.size());
  while (::getgrouplist(who.name.c_str(), who.gid, groups.data(), &count) < 0) {
    groups.resize(
        static_cast<std::size_t>(std::max<int>(count, 2 * static_cast<int>(groups.size()))));
    count = static_cast<int>(groups.size());
  }
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

rlim_t data_limit(WorkerKind kind) {
  if (kSanitized) return RLIM_INFINITY;
  switch (kind) {
    case WorkerKind::kSource:
      return rlim_t{1} << 30;
    case WorkerKind::kConfig:
    case WorkerKind::kLock:
    case WorkerKind::kServices:
      return rlim_t{256} << 20;
    case WorkerKind::kCheck:
      return rlim_t{4} << 30;  // the checks inherit it: Node needs much
  }
  return RLIM_INFINITY;
}

std::string find_program(const std::string& directory, WorkerKind kind) {
  auto program = directory + "/" + program_name(kind);
  if (::access(program.c_str(), X_OK) != 0) {
    throw Error(Code::kWorker, "cannot find the program " + program + ": " + std::strerror(errno) +
                                   "; install mcp-upgraded completely, or build all of it");
  }
  return program;
}

std::string failure_start(const Launch& launch, const Identity& who) {
  const nlohmann::json what = "cannot start " + launch.program + " as " + who.name + ": ";
  auto quoted = what.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  quoted.pop_back();  // the child goes on with the text
  if (quoted.size() > 800) quoted = "\"cannot start a worker: ";
  return R"({"error":{"code":"WorkerFailed","message":)" + quoted;
}

Launch prepare(const std::string& directory, WorkerKind kind, const Identity& who) {
  const auto uid = ::geteuid();
  if (uid != 0 && who.uid != uid) {
    throw Error(Code::kRefused, "cannot work as " + who.name +
                                    ": this daemon is not root, it serves its own user alone");
  }
  Launch launch;
  launch.program = find_program(directory, kind);
  launch.arguments = {program_name(kind)};
  if (const char* operation = operation_name(kind)) launch.arguments.emplace_back(operation);
  launch.switch_user = uid == 0 && who.uid != 0;
  launch.powerless = launch.switch_user || kind == WorkerKind::kSource;
  launch.environment = build_environment(kind, who, !launch.switch_user);
  launch.failure_start = failure_start(launch, who);
  // A check worker must outlive us by a moment, to end what runs below it; a lock is held for more
  // than the thread that took it.
  launch.die_with_parent = kind != WorkerKind::kCheck && kind != WorkerKind::kLock;
  launch.data_bytes = data_limit(kind);
  if (kind == WorkerKind::kCheck) launch.file_bytes = kCheckFileBytes;
  launch.uid = who.uid;
  launch.gid = who.gid;
  if (launch.switch_user) launch.groups = groups_of(who);
  launch.parent = ::getpid();
  return launch;
}

UniqueFd move_up(UniqueFd low) {
  UniqueFd high(::fcntl(low.get(), F_DUPFD_CLOEXEC, kFirstFreeFd));
  if (!high) throw io_error("duplicate", "a descriptor", errno);
  return high;
}

/// Forks and executes. With the user's own rights the child may borrow our memory until it
/// executes (vfork), which costs a tenth. With another user's it may not: that user could stop the
/// child (SIGSTOP) in between, and us with it.
pid_t fork_and_run(const Launch& launch) {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  // No handler of ours may run in the child.
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t child = launch.switch_user ? ::fork() : ::vfork();
  if (child == 0) run_child(launch);
  const int failure = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (child < 0) throw io_error("start", launch.program, failure);
  return child;
}

/// While workers live, what they leave behind falls to us. Only then: a program that has the engine
/// inside of it, a test above all, may have other children whose orphans are not ours to judge.
class ReaperDuty {
 public:
  ReaperDuty() {
    const std::lock_guard guard(mutex_);
    if (count_++ == 0) {
      was_reaper_ = is_subreaper();
      become_subreaper();
    }
  }
  ~ReaperDuty() {
    const std::lock_guard guard(mutex_);
    if (--count_ == 0 && !was_reaper_) become_subreaper(false);
  }
  ReaperDuty(const ReaperDuty&) = delete;
  ReaperDuty& operator=(const ReaperDuty&) = delete;

 private:
  static inline std::mutex mutex_;
  static inline int count_ = 0;
  static inline bool was_reaper_ = false;
};

/// The children of this process that its workers account for.
struct Family {
  /// Held while a worker starts or ends: an end would take a child just forked for an orphan.
  std::mutex mutex;
  std::vector<pid_t> live;   ///< the workers
  std::vector<pid_t> stuck;  ///< killed, but not gone: reaped when their system call lets them
};

class PosixWorker final : public Worker {
 public:
  /// `strangers`: the other children of this process when the worker was started.
  PosixWorker(WorkerKind kind, pid_t pid, UniqueFd link, std::shared_ptr<Family> family,
              std::vector<pid_t> strangers, std::unique_ptr<ReaperDuty> duty)
      : duty_(std::move(duty)),
        kind_(kind),
        pid_(pid),
        link_(std::move(link)),
        family_(std::move(family)),
        strangers_(std::move(strangers)) {
    family_->live.push_back(pid_);
  }

  ~PosixWorker() override {
    link_.reset();
    const bool gone = kind_ == WorkerKind::kCheck && reap(pid_, Clock::now() + kGoodbye);
    const std::lock_guard guard(family_->mutex);
    const auto deadline = Clock::now() + kDying;
    if (!gone) {
      ::kill(-pid_, SIGKILL);
      ::kill(pid_, SIGKILL);
      if (!reap(pid_, deadline)) family_->stuck.push_back(pid_);
    }
    std::erase(family_->live, pid_);
    end_orphans(deadline);
  }

  WorkerLink& link() override { return *link_; }

 private:
  /// A child of ours that is neither a worker nor older than this one fell to us from below it.
  void end_orphans(Clock::time_point deadline) {
    auto keep = std::move(strangers_);
    keep.insert(keep.end(), family_->live.begin(), family_->live.end());
    keep.insert(keep.end(), family_->stuck.begin(), family_->stuck.end());
    end_descendants(keep, deadline);
  }

  std::unique_ptr<ReaperDuty> duty_;  // first, so that it ends last
  WorkerKind kind_;
  pid_t pid_;
  std::optional<WorkerLink> link_;
  std::shared_ptr<Family> family_;
  std::vector<pid_t> strangers_;
};

class PosixProcesses final : public ProcessPort {
 public:
  explicit PosixProcesses(const std::string& program_directory)
      : directory_(std::filesystem::absolute(program_directory)),
        null_(::open("/dev/null", O_RDWR | O_CLOEXEC)) {
    if (!null_) throw io_error("open", "/dev/null", errno);
    null_ = move_up(std::move(null_));
  }

  std::unique_ptr<Worker> start(WorkerKind kind, const Identity& who) override {
    const std::lock_guard guard(family_->mutex);
    std::erase_if(family_->stuck, [](pid_t child) { return reap(child, Clock::now()); });
    auto launch = prepare(directory_, kind, who);
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
      throw io_error("create", "a socket pair", errno);
    }
    UniqueFd ours(ends[0]);
    const auto theirs = move_up(UniqueFd(ends[1]));
    launch.link = theirs.get();
    launch.null = null_.get();
    launch.argv = pointers_to(launch.arguments);
    launch.envp = pointers_to(launch.environment);
    auto strangers = children_of(::getpid());
    // Before the fork: what the child forks in the meantime would miss it.
    auto duty = std::make_unique<ReaperDuty>();
    const pid_t child = fork_and_run(launch);
    return std::make_unique<PosixWorker>(kind, child, std::move(ours), family_,
                                         std::move(strangers), std::move(duty));
  }

 private:
  std::string directory_;
  UniqueFd null_;
  std::shared_ptr<Family> family_ = std::make_shared<Family>();
};

}  // namespace

std::unique_ptr<ProcessPort> make_posix_processes(std::string program_directory) {
  return std::make_unique<PosixProcesses>(program_directory);
}

}  // namespace mcpu
