#include "daemon/worker/check_keeper.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <optional>

#include "daemon/worker/check_output.hpp"
#include "daemon/worker/process_tree.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {
namespace {

using Clock = std::chrono::steady_clock;

/// What may still lie in a pipe whose writers are dead; a writer that is not ours cannot hold us.
constexpr int kMaxLastReads = 64;
constexpr unsigned kCloseRangeCloexec = 4;  // CLOSE_RANGE_CLOEXEC, which old headers lack

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw io_error("create", "a pipe", errno);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// The daemon built our environment; only what is meant for checks goes on.
std::vector<std::string> build_environment(const CheckRun& run) {
  auto variables = run.environment;
  for (const char* name : {"HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "PATH"}) {
    if (const char* value = std::getenv(name)) variables.try_emplace(name, value);
  }
  std::vector<std::string> environment;
  for (const auto& [name, value] : variables) environment.push_back(name + "=" + value);
  return environment;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (auto& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// Everything the check's process needs, made before it is.
struct Launch {
  explicit Launch(const CheckRun& run)
      : program(run.program.c_str()),
        directory(run.directory.c_str()),
        arguments(run.arguments),
        environment(build_environment(run)),
        keeper(::getpid()) {
    arguments.insert(arguments.begin(), run.program);
    argv = pointers_to(arguments);
    envp = pointers_to(environment);
  }

  const char* program;
  const char* directory;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::vector<char*> argv;
  std::vector<char*> envp;
  pid_t keeper;
};

/// Becomes the check. Returns the errno of what failed. In a process that borrows its parent's
/// memory until it executes: system calls alone.
int execute(const Launch& launch, int output) {
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, static_cast<unsigned long>(SIGKILL), 0UL, 0UL, 0UL);
  if (::getppid() != launch.keeper) return ESRCH;
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 || ::dup2(null, 0) < 0 || ::dup2(output, 1) < 0 || ::dup2(output, 2) < 0) {
    return errno;
  }
  ::syscall(SYS_close_range, 3, ~0U, kCloseRangeCloexec);
  ::umask(022);
  if (::chdir(launch.directory) != 0) return errno;
  ::execve(launch.program, launch.argv.data(), launch.envp.data());
  return errno;
}

std::string seconds(std::chrono::milliseconds time) {
  auto text = std::to_string(time.count() / 1000);
  if (time.count() % 1000 != 0) text += "." + std::to_string(time.count() % 1000 / 100);
  return text + " s";
}

std::string in_quotes(const std::string& text) { return "\"" + to_utf8(text) + "\""; }

class Keeper {
 public:
  Keeper(const CheckRun& run, int worker)
      : run_(run), worker_(worker), output_(run.forbid), start_(Clock::now()) {
    result_.name = run.name;
  }

  CheckResult run() {
    become_subreaper();
    start_check();
    if (child_ > 0) watch();
    const bool all_gone = end_descendants({}, Clock::now() + kDying);
    read_the_rest();
    judge(all_gone);
    return std::move(result_);
  }

 private:
  void start_check() {
    auto output = make_pipe();
    auto failure = make_pipe();
    const Launch launch(run_);
    const int output_end = output.write_end.get();
    const int failure_end = failure.write_end.get();
    child_ = ::vfork();
    if (child_ == 0) {
      const int reason = execute(launch, output_end);
      [[maybe_unused]] const auto written = ::write(failure_end, &reason, sizeof reason);
      ::_exit(127);
    }
    if (child_ < 0) throw io_error("start", run_.program, errno);
    failure.write_end.reset();
    // Ends at once: executing closes the other end.
    int& error = result_.start_error;
    if (::read(failure.read_end.get(), &error, sizeof error) > 0) child_ = -1;
    pipe_ = std::move(output.read_end);
    ::fcntl(pipe_.get(), F_SETFL, O_NONBLOCK);
  }

  /// Until the check's own process has ended, or its time has.
  void watch() {
    const UniqueFd handle(static_cast<int>(::syscall(SYS_pidfd_open, child_, 0)));
    if (!handle) throw io_error("watch", run_.program, errno);
    const auto deadline = start_ + run_.deadline;
    for (;;) {
      std::array<pollfd, 3> polled{pollfd{handle.get(), POLLIN, 0}, pollfd{pipe_.get(), POLLIN, 0},
                                   pollfd{worker_, POLLRDHUP, 0}};
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
      if (left.count() <= 0) {
        result_.timed_out = true;
        return;
      }
      ::poll(polled.data(), polled.size(),
             static_cast<int>(std::min<std::int64_t>(left.count(), 60'000)));
      if (polled[2].revents != 0) end_with_worker();
      if (polled[1].revents != 0 && !read_piece()) pipe_.reset();
      if (polled[0].revents != 0 && take_status()) return;
    }
  }

  [[noreturn]] static void end_with_worker() {
    end_descendants({}, Clock::now() + kDying);
    ::_exit(1);
  }

  bool take_status() {
    int status = 0;
    if (::waitpid(child_, &status, WNOHANG) != child_) return false;
    if (WIFEXITED(status)) result_.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) result_.signal = WTERMSIG(status);
    return true;
  }

  /// False at the end of the output, or when there is nothing to read now.
  bool read_piece() {
    std::array<char, 64 * 1024> buffer;
    const auto got = ::read(pipe_.get(), buffer.data(), buffer.size());
    if (got > 0) output_.add({buffer.data(), static_cast<std::size_t>(got)});
    return got > 0 || (got < 0 && errno == EINTR);
  }

  void read_the_rest() {
    for (int i = 0; pipe_ && i < kMaxLastReads && read_piece(); ++i) {
    }
  }

  void judge(bool all_gone) {
    result_.duration = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start_);
    result_.output = to_utf8(output_.text());
    result_.reason = ending();
    result_.forbidden = output_.forbidden();
    if (!result_.forbidden.empty()) {
      result_.reason += (result_.reason.empty() ? "" : ", and ") +
                        ("output contains " + in_quotes(result_.forbidden));
    }
    if (!all_gone && result_.reason.empty()) result_.reason = "left processes that cannot be ended";
    result_.passed = result_.reason.empty();
  }

  /// What is wrong with how it ended; empty: nothing.
  std::string ending() const {
    if (result_.start_error != 0) {
      return std::string("cannot be started: ") + ::strerrordesc_np(result_.start_error);
    }
    if (result_.timed_out) return "did not end within " + seconds(run_.deadline);
    if (result_.signal != 0) {
      const char* name = ::sigabbrev_np(result_.signal);
      return "ended by signal " +
             (name != nullptr ? "SIG" + std::string(name) : std::to_string(result_.signal));
    }
    const auto& accept = run_.accept;
    if (std::find(accept.begin(), accept.end(), result_.exit_code) != accept.end()) return {};
    return "exit code " + std::to_string(result_.exit_code);
  }

  const CheckRun& run_;
  int worker_;
  CheckOutput output_;
  Clock::time_point start_;
  pid_t child_ = -1;
  UniqueFd pipe_;
  CheckResult result_;
};

}  // namespace

CheckResult keep_check(const CheckRun& run, const WorkerLink& worker) {
  return Keeper(run, worker.descriptor()).run();
}

}  // namespace mcpu
