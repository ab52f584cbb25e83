#include "client/daemon_starter.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "client/interrupt.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

constexpr const char* kProgram = "mcp-upgraded";
constexpr off_t kComplaintBytes = 64 * 1024;

bool executable(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         ::access(path.c_str(), X_OK) == 0;
}

std::string on_path() {
  const char* value = std::getenv("PATH");
  std::string path = value == nullptr ? "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin" : value;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find(':', begin), path.size());
    // Only absolute parts: what lies in the current directory is not ours.
    const std::string candidate = path.substr(begin, end - begin) + "/" + kProgram;
    if (candidate[0] == '/' && end > begin && executable(candidate)) return candidate;
    begin = end + 1;
  }
  return {};
}

/// What the started process tells us: its number, or the errno that kept it from being started.
struct Report {
  pid_t pid = 0;
  int error = 0;
};

void redirect(int errors) {
  const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(nothing, STDOUT_FILENO);
  ::dup2(errors, STDERR_FILENO);
}

/// In the first child: makes the second one, which becomes the daemon. Calls only what may be
/// called between fork and exec.
[[noreturn]] void become_daemon(char* const* command, char* const* environment, int errors,
                                int report) {
  ::setsid();
  const pid_t child = ::fork();
  if (child != 0) {
    const Report told{child, child < 0 ? errno : 0};
    ::_exit(::write(report, &told, sizeof told) == sizeof told ? 0 : 1);
  }
  Interrupts::reset_in_child();
  std::signal(SIGPIPE, SIG_DFL);
  redirect(errors);
  ::umask(022);
  if (::chdir("/") == 0) {
    ::syscall(SYS_close_range, 3U, ~0U, 4U /* CLOEXEC: `report` is needed until then */);
    ::execve(command[0], command, environment);
  }
  const Report told{0, errno};
  ::_exit(::write(report, &told, sizeof told) == sizeof told ? 127 : 126);
}

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> result;
  for (const std::string& word : words) result.push_back(const_cast<char*>(word.c_str()));
  result.push_back(nullptr);
  return result;
}

/// Both reports, if there are two: the first child's, and the second's if it could not execute.
Report read_report(int fd) {
  Report result, part;
  while (::read(fd, &part, sizeof part) == sizeof part) {
    if (part.pid > 0) result.pid = part.pid;
    if (part.error != 0) result.error = part.error;
  }
  return result;
}

UniqueFd bounded_memory() {
  UniqueFd fd(::memfd_create("mcp-upgraded-stderr", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd || ::ftruncate(fd.get(), kComplaintBytes) != 0) {
    throw io_error("create", "memory for the daemon's messages", errno);
  }
  ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK);
  return fd;
}

}  // namespace

std::string find_daemon_program() {
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const std::string installed = (self.parent_path() / "sbin" / kProgram).string();
  const std::string built = (self.parent_path() / "daemon" / kProgram).string();
  for (const std::string& candidate : {installed, built}) {
    if (executable(candidate)) return candidate;
  }
  std::string found = on_path();
  if (!found.empty()) return found;
  throw Error(Code::kNoDaemon, std::string(kProgram) + " was not found, neither as " + installed +
                                   " nor on PATH; install it, or put its directory on PATH");
}

std::vector<std::string> daemon_environment() {
  // What its workers, ssh, TLS and systemctl need; nothing else of the caller's shell.
  static constexpr auto kNames = std::to_array<const char*>({"HOME",
                                                             "USER",
                                                             "LOGNAME",
                                                             "SHELL",
                                                             "PATH",
                                                             "LANG",
                                                             "TZ",
                                                             "TMPDIR",
                                                             "XDG_CONFIG_HOME",
                                                             "XDG_STATE_HOME",
                                                             "XDG_CACHE_HOME",
                                                             "XDG_DATA_HOME",
                                                             "XDG_RUNTIME_DIR",
                                                             "SSH_AUTH_SOCK",
                                                             "DBUS_SESSION_BUS_ADDRESS",
                                                             "SSL_CERT_FILE",
                                                             "SSL_CERT_DIR",
                                                             "https_proxy",
                                                             "http_proxy",
                                                             "no_proxy"});
  std::vector<std::string> environment;
  for (const char* name : kNames) {
    const char* value = std::getenv(name);
    if (value != nullptr) environment.push_back(std::string(name) + "=" + value);
  }
  return environment;
}

StartedDaemon::StartedDaemon(const std::vector<std::string>& command) : errors_(bounded_memory()) {
  const std::vector<std::string> variables = daemon_environment();
  const std::vector<char*> arguments = pointers(command), environment = pointers(variables);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw io_error("create", "a pipe", errno);
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) throw io_error("start", command[0], errno);
  if (child == 0) {
    become_daemon(arguments.data(), environment.data(), errors_.get(), writing.get());
  }
  writing.reset();
  const Report report = read_report(reading.get());
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (report.error != 0) {
    throw Error(Code::kNoDaemon, "cannot start " + command[0] + ": " +
                                     std::generic_category().message(report.error));
  }
  process_.reset(static_cast<int>(::syscall(SYS_pidfd_open, report.pid, 0U)));
}

bool StartedDaemon::ended() const {
  pollfd process = {process_.get(), POLLIN, 0};
  return !process_ || ::poll(&process, 1, 0) > 0;
}

std::string StartedDaemon::complaint() const {
  // The descriptor is shared with the daemon, and so is its position: where it stopped writing.
  const off_t end = ::lseek(errors_.get(), 0, SEEK_CUR);
  std::string text(end > 0 ? static_cast<std::size_t>(end) : 0, '\0');
  const ssize_t count = ::pread(errors_.get(), text.data(), text.size(), 0);
  text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return text;
}

}  // namespace mcpu
