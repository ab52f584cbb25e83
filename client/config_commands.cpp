#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "client/commands.hpp"
#include "daemon/unique_fd.hpp"

namespace mcpu {

namespace {

/// What a program that was run to its end had to say.
struct Said {
  int status = -1;
  std::string errors;
};

[[noreturn]] void become(const std::vector<char*>& command, int errors) {
  ::dup2(::open("/dev/null", O_RDWR | O_CLOEXEC), STDOUT_FILENO);
  ::dup2(errors, STDERR_FILENO);
  ::execv(command[0], command.data());
  ::_exit(127);
}

/// Runs a program of ours, whose output is short, with its standard error kept.
Said run(std::vector<std::string> words) {
  std::vector<char*> command;
  for (std::string& word : words) command.push_back(word.data());
  command.push_back(nullptr);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw io_error("create", "a pipe", errno);
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) throw io_error("run", words[0], errno);
  if (child == 0) become(command, writing.get());
  writing.reset();
  Said said;
  std::array<char, 4096> buffer;
  for (ssize_t count = 0; (count = ::read(reading.get(), buffer.data(), buffer.size())) > 0;) {
    said.errors.append(buffer.data(), static_cast<std::size_t>(count));
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  said.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return said;
}

}  // namespace

int validate_configuration(const Arguments& arguments, Screen& screen) {
  InstanceOptions options = arguments.instance;
  if (!arguments.file.empty()) options.config_file = arguments.file;
  const InstanceChoice choice = choose_instance(options);
  std::vector<std::string> words = {find_daemon_program(), "--check-config"};
  InstanceOptions again = choice.options;
  again.user = choice.instance.user_mode;
  again.system = !again.user;
  for (std::string& word : instance_words(again)) words.push_back(std::move(word));
  Said said = run(words);
  const std::string& file = choice.instance.config_file;
  if (said.status == 0) {
    screen.print(arguments.json ? nlohmann::json{{"file", file}, {"valid", true}}.dump()
                                : printable(file) + " is valid");
    screen.finish();
    return 0;
  }
  while (!said.errors.empty() && said.errors.back() == '\n') said.errors.pop_back();
  if (said.errors.empty()) said.errors = words[0] + " --check-config failed without saying why";
  throw Error(Code::kConfig, said.errors, {{"file", file}});
}

}  // namespace mcpu
