#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "client/commands.hpp"
#include "client/json_fields.hpp"
#include "client/render.hpp"
#include "daemon/unique_fd.hpp"

namespace mcpu {

namespace {

[[noreturn]] void become(const std::vector<char*>& command, int output) {
  ::dup2(output, STDOUT_FILENO);
  ::execv(command[0], command.data());
  ::_exit(127);
}

/// Runs a program of ours, whose output is short, to its end; returns its standard output.
std::string output_of(std::vector<std::string> words) {
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
  std::string output;
  std::array<char, 4096> buffer;
  for (ssize_t count = 0; (count = ::read(reading.get(), buffer.data(), buffer.size())) > 0;) {
    output.append(buffer.data(), static_cast<std::size_t>(count));
  }
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return output;
}

/// What the daemon's program says of a configuration file.
nlohmann::json verdict_on(const InstanceChoice& choice) {
  std::vector<std::string> words = {find_daemon_program(), "--check-config", "--json"};
  InstanceOptions options = choice.options;
  options.user = choice.instance.user_mode;
  options.system = !options.user;
  for (std::string& word : instance_words(options)) words.push_back(std::move(word));
  nlohmann::json verdict = nlohmann::json::parse(output_of(words), nullptr, false);
  if (verdict.is_object()) return verdict;
  throw Error(Code::kConfig, words[0] + " --check-config --json failed without a verdict",
              {{"file", choice.instance.config_file}});
}

}  // namespace

int validate_configuration(const Arguments& arguments, Screen& screen) {
  InstanceOptions options = arguments.instance;
  if (!arguments.file.empty()) options.config_file = arguments.file;
  nlohmann::json verdict = verdict_on(choose_instance(options));
  if (!flag_of(verdict, "valid")) {
    const std::string message = text_of(verdict, "message");
    for (const char* name : {"message", "valid"}) verdict.erase(name);
    throw Error(Code::kConfig, message, verdict);
  }
  const std::string file = printable(text_of(verdict, "file"));
  const std::string text =
      flag_of(verdict, "exists")
          ? file + " is valid"
          : "there is no " + file + ": the built-in values are in force, and nothing is wrong";
  screen.print(arguments.json ? verdict.dump() : text);
  screen.finish();
  return 0;
}

}  // namespace mcpu
