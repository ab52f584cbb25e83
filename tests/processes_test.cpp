#include "daemon/processes.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <thread>

#include "built_programs.hpp"
#include "daemon/check.hpp"
#include "daemon/worker/process_tree.hpp"
#include "proto/error.hpp"
#include "scratch_directory.hpp"

namespace mcpu::processes_test {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

/// A directory whose worker programs are a shell script; `send TEXT` in it sends a bytes frame.
class ScriptedPrograms {
 public:
  explicit ScriptedPrograms(const std::string& script) {
    ::chmod(directory_.path().c_str(), 0755);
    for (const char* name : {"mcp-upgraded-worker", "mcp-upgraded-source"}) {
      const auto path = directory_ / name;
      std::ofstream(path) << "#!/bin/sh\n"
                             "send() { n=${#1}; printf \"B\\\\$(printf %03o $((n % 256)))"
                             "\\\\$(printf %03o $((n / 256)))\\\\0\\\\0\" >&3; "
                             "printf %s \"$1\" >&3; }\n"
                          << script << "\n";
      ::chmod(path.c_str(), 0755);
    }
  }
  const std::string& path() const { return directory_.path(); }

 private:
  ScratchDirectory directory_;
};

std::unique_ptr<Worker> start(ProcessPort& port, WorkerKind kind, const Identity& who) {
  auto worker = port.start(kind, who);
  worker->link().limit(steady_clock::now() + milliseconds(10'000), nullptr);
  return worker;
}

std::string answer_of(const std::string& script, WorkerKind kind, const Identity& who) {
  const ScriptedPrograms programs(script);
  const auto port = make_posix_processes(programs.path());
  return start(*port, kind, who)->link().receive_bytes();
}

Error error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  FAIL("no error");
  return Error(Code::kInternal, "");
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

bool alive(pid_t pid) { return ::kill(pid, 0) == 0; }

/// Whether the process is gone within five seconds.
bool goes_away(pid_t pid) {
  const auto deadline = steady_clock::now() + milliseconds(5000);
  while (alive(pid) && steady_clock::now() < deadline) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  return !alive(pid);
}

pid_t read_pid(const std::string& file) {
  const auto deadline = steady_clock::now() + milliseconds(5000);
  pid_t pid = 0;
  while (pid == 0 && steady_clock::now() < deadline) {
    std::ifstream stream(file);
    std::string line;
    // Only a whole line is a whole number.
    if (std::getline(stream, line) && !stream.eof()) pid = std::stoi(line);
    std::this_thread::sleep_for(milliseconds(1));
  }
  REQUIRE(pid > 0);
  return pid;
}

}  // namespace

TEST_CASE("a worker has a built environment and nothing that is ours") {
  ::setenv("MCPU_SECRET", "x", 1);
  const UniqueFd inherited(::dup(1));
  const auto text = answer_of(
      "send \"$(env; umask; pwd; ls /proc/$$/fd | tr '\\n' ' '; grep NoNewPrivs /proc/$$/status;"
      "echo $$ $(cut -d' ' -f5,6 /proc/$$/stat); echo $0 $*)\"",
      WorkerKind::kConfig, own_identity());
  ::unsetenv("MCPU_SECRET");
  CHECK_FALSE(contains(text, "MCPU_SECRET"));
  CHECK_FALSE(contains(text, "SSH_AUTH_SOCK"));
  CHECK(contains(text, "HOME=" + own_identity().home + "\n"));
  for (const char* line : {"LANG=C.UTF-8\n", "USER=", "0022\n/\n", "NoNewPrivs:\t1\n", " config"}) {
    CHECK_MESSAGE(contains(text, line), line);
  }
  // 10 is the script itself, opened by the shell.
  CHECK_MESSAGE((contains(text, "\n0 1 10 2 3 ") || contains(text, "\n0 1 2 255 3 ")), text);
}

TEST_CASE("a source worker may use the user's ssh agent") {
  ::setenv("SSH_AUTH_SOCK", "/run/agent", 1);
  const auto text = answer_of("send \"$(env)\"", WorkerKind::kSource, own_identity());
  ::unsetenv("SSH_AUTH_SOCK");
  CHECK(contains(text, "SSH_AUTH_SOCK=/run/agent\n"));
}

TEST_CASE("a program that is not there is named") {
  const auto port = make_posix_processes("/no/such/directory");
  const auto error = error_of([&] { port->start(WorkerKind::kSource, own_identity()); });
  CHECK(error.code() == Code::kWorker);
  CHECK(contains(error.what(), "/no/such/directory/mcp-upgraded-source"));
}

TEST_CASE("a program that cannot be executed is reported on the link") {
  const ScratchDirectory directory;
  const auto program = directory / "mcp-upgraded-worker";
  std::ofstream(program) << "\x7f"
                            "ELF, but not really";
  ::chmod(program.c_str(), 0755);
  const auto port = make_posix_processes(directory.path());
  const auto worker = start(*port, WorkerKind::kConfig, own_identity());
  const auto error = error_of([&] { worker->link().receive(); });
  CHECK(error.code() == Code::kWorker);
  CHECK(contains(error.what(), program));
  CHECK(contains(error.what(), "executing it failed: Exec format error"));
}

TEST_CASE("destroying a worker ends it and its group, even if it ignores signals") {
  const ScratchDirectory directory;
  const ScriptedPrograms programs("trap '' TERM HUP INT; sleep 60 & echo $! > '" +
                                  (directory / "child") + "'; echo $$ > '" + (directory / "self") +
                                  "'; wait");
  const auto port = make_posix_processes(programs.path());
  auto worker = start(*port, WorkerKind::kConfig, own_identity());
  const auto self = read_pid(directory / "self");
  const auto child = read_pid(directory / "child");
  worker.reset();
  CHECK_FALSE(alive(self));
  CHECK(goes_away(child));
}

TEST_CASE("what escaped a check worker is hunted down, and nobody else's processes are") {
  const ScratchDirectory directory;
  const pid_t stranger = ::fork();
  if (stranger == 0) {
    ::pause();
    ::_exit(0);
  }
  const ScriptedPrograms programs("trap '' HUP TERM; (setsid sleep 60 & echo $! > '" +
                                  (directory / "child") + "'); exec sleep 60");
  const auto port = make_posix_processes(programs.path());
  auto worker = start(*port, WorkerKind::kCheck, own_identity());
  const auto child = read_pid(directory / "child");
  worker.reset();
  CHECK_FALSE(alive(child));
  CHECK(alive(stranger));
  CHECK_FALSE(is_subreaper());
  ::kill(stranger, SIGKILL);
  ::waitpid(stranger, nullptr, 0);
}

TEST_CASE("when the daemon is killed its workers and checks are gone at once") {
  const ScratchDirectory directory;
  const auto file = directory / "pid";
  const pid_t daemon = ::fork();
  if (daemon == 0) {
    const auto port = make_posix_processes(worker_directory());
    CheckRun run;
    run.program = "/bin/sh";
    run.arguments = {"-c", "setsid sh -c 'trap \"\" TERM HUP; echo $$ > " + file +
                               "; while :; do sleep 1; done' & sleep 60"};
    run.directory = "/";
    run.deadline = milliseconds(60'000);
    Checker(*port, own_identity()).run({run}, 1, nullptr);
    ::_exit(0);
  }
  const auto check = read_pid(file);
  ::kill(daemon, SIGKILL);
  ::waitpid(daemon, nullptr, 0);
  CHECK(goes_away(check));
}

TEST_CASE("a worker of another user has that user's rights and no others" *
          doctest::skip(::geteuid() != 0)) {
  const auto nobody = identity_of("nobody");
  const auto text = answer_of("send \"$(id -u) $(id -g) $(id -G) $(grep Cap /proc/$$/status)\"",
                              WorkerKind::kConfig, nobody);
  const auto gid = std::to_string(nobody.gid);
  CHECK(contains(text, std::to_string(nobody.uid) + " " + gid + " " + gid));
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
    CHECK_MESSAGE(contains(text, std::string(set) + ":\t0000000000000000"), text);
  }
}

TEST_CASE("a program that the user may not execute is reported on the link" *
          doctest::skip(::geteuid() != 0)) {
  const ScriptedPrograms programs("");
  ::chmod(programs.path().c_str(), 0700);
  const auto port = make_posix_processes(programs.path());
  const auto worker = start(*port, WorkerKind::kConfig, identity_of("nobody"));
  const auto error = error_of([&] { worker->link().receive(); });
  CHECK(contains(error.what(), "as nobody: executing it failed: Permission denied"));
}

TEST_CASE("a daemon that is not root serves its own user alone" * doctest::skip(::geteuid() == 0)) {
  const auto port = make_posix_processes(worker_directory());
  CHECK(error_of([&] { port->start(WorkerKind::kConfig, identity_of("root")); }).code() ==
        Code::kRefused);
}

}  // namespace mcpu::processes_test
