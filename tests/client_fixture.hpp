#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace mcpu::test {

/// Writes a file, its directories included.
inline void write_file(const std::string& path, std::string_view content, mode_t mode = 0644) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << content;
  ::chmod(path.c_str(), mode);
}

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A program of the build tree, by its path below it.
inline std::string built(std::string_view name) {
  const char* build = std::getenv("MCPU_BUILD");
  if (build != nullptr) return std::string(build) + "/" + std::string(name);
  const auto self = std::filesystem::read_symlink("/proc/self/exe");
  return (self.parent_path().parent_path() / name).string();
}

struct Finished {
  int status = -1;  ///< exit code, or 128 and the signal
  std::string out;
  std::string err;
};

namespace detail {

[[noreturn]] inline void become(const std::vector<std::string>& command,
                                const std::vector<std::string>* environment, int out, int err) {
  ::dup2(::open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
  ::dup2(out, 1);
  ::dup2(err, 2);
  std::vector<char*> arguments, variables;
  for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  if (environment == nullptr) {
    ::execv(arguments[0], arguments.data());
  } else {
    for (const auto& entry : *environment) variables.push_back(const_cast<char*>(entry.c_str()));
    variables.push_back(nullptr);
    ::execve(arguments[0], arguments.data(), variables.data());
  }
  ::_exit(125);
}

}  // namespace detail

/// Runs a program to its end with standard input empty; its whole environment is `environment` if
/// that is given.
inline Finished run(const std::vector<std::string>& command,
                    const std::vector<std::string>* environment = nullptr) {
  int out[2], err[2];
  if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0)
    throw std::runtime_error("pipe");
  const pid_t child = ::fork();
  if (child == 0) detail::become(command, environment, out[1], err[1]);
  ::close(out[1]);
  ::close(err[1]);
  Finished finished;
  pollfd ends[2] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}};
  std::string* texts[2] = {&finished.out, &finished.err};
  while (ends[0].fd >= 0 || ends[1].fd >= 0) {
    ::poll(ends, 2, -1);
    for (int i = 0; i < 2; ++i) {
      if (ends[i].fd < 0 || ends[i].revents == 0) continue;
      char buffer[4096];
      const ssize_t count = ::read(ends[i].fd, buffer, sizeof buffer);
      if (count > 0) {
        texts[i]->append(buffer, static_cast<std::size_t>(count));
      } else {
        ends[i].fd = -1;
      }
    }
  }
  ::close(out[0]);
  ::close(err[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  finished.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return finished;
}

}  // namespace mcpu::test
