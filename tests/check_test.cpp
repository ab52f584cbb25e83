#include "daemon/check.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <numeric>
#include <thread>

#include "built_programs.hpp"
#include "daemon/check_messages.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"
#include "scratch_directory.hpp"
#include "thread_processes.hpp"

namespace mcpu::check_test {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

CheckRun shell(const std::string& script, milliseconds deadline = milliseconds(5000)) {
  CheckRun run;
  run.name = "a check";
  run.program = "/bin/sh";
  run.arguments = {"-c", script};
  run.directory = "/";
  run.deadline = deadline;
  return run;
}

std::vector<CheckResult> run_all(const std::vector<CheckRun>& runs, std::size_t at_once = 4) {
  const auto processes = make_posix_processes(worker_directory());
  return Checker(*processes, own_identity()).run(runs, at_once, nullptr);
}

CheckResult run_one(const CheckRun& run) { return run_all({run}).front(); }

milliseconds time_of(const std::function<void()>& call) {
  const auto start = steady_clock::now();
  call();
  return std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
}

/// A check that writes the number of a process it leaves behind to the file, then goes on.
std::string leaving(const std::string& what, const std::string& file) {
  return what + " & echo $! > '" + file + "'; ";
}

bool alive(const std::string& file) {
  pid_t pid = 0;
  std::ifstream(file) >> pid;
  REQUIRE(pid > 0);
  return ::kill(pid, 0) == 0;
}

Code code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  FAIL("no error");
  return Code::kInternal;
}

}  // namespace

TEST_CASE("a check that exits with 0 passes and its output is kept") {
  const auto result = run_one(shell("echo out; echo err >&2"));
  CHECK(result.passed);
  CHECK(result.exit_code == 0);
  CHECK(result.output == "out\nerr\n");
  CHECK(result.reason.empty());
}

TEST_CASE("a check cannot fill the disk with one file") {
  const ScratchDirectory directory;
  const auto result = run_one(shell("exec truncate -s 2G '" + (directory / "file") + "'"));
  CHECK(result.reason == "ended by signal SIGXFSZ");
}

TEST_CASE("one worker serves call after call, and another one when it was killed in between") {
  const auto processes = make_posix_processes(worker_directory());
  Checker checker(*processes, own_identity());
  const auto worker = [&] {
    const auto result = checker.run({shell("cut -d' ' -f4 /proc/$PPID/stat")}, 1, nullptr).at(0);
    return static_cast<pid_t>(std::stol(result.output));
  };
  const pid_t first = worker();
  CHECK(worker() == first);
  ::kill(first, SIGKILL);
  siginfo_t ended;
  ::waitid(P_PID, static_cast<id_t>(first), &ended, WEXITED | WNOWAIT);
  CHECK(worker() != first);
}

TEST_CASE("other exit codes fail unless they are accepted") {
  auto run = shell("exit 3");
  CHECK(run_one(run).reason == "exit code 3");
  run.accept = {0, 3};
  CHECK(run_one(run).passed);
}

TEST_CASE("a check that dies by a signal says which") {
  const auto result = run_one(shell("kill -SEGV $$"));
  CHECK_FALSE(result.passed);
  CHECK(result.signal == SIGSEGV);
  CHECK(result.exit_code == -1);
  CHECK(result.reason == "ended by signal SIGSEGV");
}

TEST_CASE("a program that is not there is a result, not an error") {
  auto run = shell("");
  run.program = "/no/such/program";
  const auto result = run_one(run);
  CHECK_FALSE(result.passed);
  CHECK(result.reason == "cannot be started: No such file or directory");
}

TEST_CASE("a forbidden text fails a check that exits with 0, wherever it stands in the output") {
  auto run = shell("head -c 300000 /dev/zero; printf Trace; printf back; head -c 300000 /dev/zero");
  run.forbid = {"ImportError", "Traceback"};
  const auto result = run_one(run);
  CHECK_FALSE(result.passed);
  CHECK(result.exit_code == 0);
  CHECK(result.reason == "output contains \"Traceback\"");
  CHECK(result.forbidden == "Traceback");
}

TEST_CASE("of a long output the beginning and the end are kept") {
  const auto result = run_one(shell("echo first; yes | head -c 50000000; echo last"));
  CHECK(result.passed);
  CHECK(result.output.size() < kCheckOutputBytes + 100);
  CHECK(result.output.starts_with("first\n"));
  CHECK(result.output.ends_with("last\n"));
  CHECK(result.output.find("bytes left out") != std::string::npos);
}

TEST_CASE("output that is not UTF-8 does no harm") {
  const auto result = run_one(shell(R"(printf '\304\343\272\303 \304')"));
  CHECK(result.passed);
  CHECK(to_utf8(result.output) == result.output);
  CHECK(result.output.find("\xEF\xBF\xBD") != std::string::npos);
}

TEST_CASE("the environment is built, not inherited") {
  ::setenv("MCPU_SECRET", "x", 1);
  auto run = shell("env; umask; pwd; tty; cat; [ -e /proc/self/fd/3 ] || echo closed");
  run.environment = {{"EXTRA", "more"}, {"HOME", "/elsewhere"}};
  run.directory = "/usr";
  const auto output = run_one(run).output;
  ::unsetenv("MCPU_SECRET");
  CHECK(output.find("MCPU_SECRET") == std::string::npos);
  for (const char* line : {"EXTRA=more\n", "HOME=/elsewhere\n", "LANG=C.UTF-8\n", "PATH=/usr",
                           "USER=", "LOGNAME=", "SHELL=", "0022\n", "/usr\n", "not a tty\n"}) {
    CHECK_MESSAGE(output.find(line) != std::string::npos, line);
  }
}

TEST_CASE("a check ends at its deadline, whatever it does with its output or with signals") {
  std::vector<CheckRun> runs;
  for (const char* script :
       {"sleep 60", "trap '' TERM HUP INT; sleep 60", "exec >&- 2>&-; sleep 60", "kill -STOP $$",
        "while :; do echo x; done"}) {
    runs.push_back(shell(script, milliseconds(200)));
  }
  std::vector<CheckResult> results;
  const auto took = time_of([&] { results = run_all(runs, runs.size()); });
  CHECK(took < milliseconds(3000));
  for (const auto& result : results) {
    CHECK_FALSE(result.passed);
    CHECK(result.timed_out);
    CHECK(result.reason == "did not end within 0.2 s");
  }
}

TEST_CASE("no process of a check outlives it, not even in a session of its own") {
  const ScratchDirectory directory;
  const auto file = directory / "pid";
  for (const char* what : {"sleep 60", "setsid sleep 60", "(trap '' TERM; exec setsid sleep 60)",
                           "setsid sh -c 'setsid sleep 60 & sleep 60'"}) {
    CAPTURE(what);
    const auto took =
        time_of([&] { CHECK(run_one(shell(leaving(what, file) + "exit 0")).passed); });
    CHECK_FALSE(alive(file));
    CHECK(took < milliseconds(2000));
    run_one(shell(leaving(what, file) + "sleep 60", milliseconds(100)));
    CHECK_FALSE(alive(file));
  }
}

TEST_CASE("checks run side by side, but not more than asked for") {
  const std::vector<CheckRun> runs(4, shell("sleep 0.05"));
  const auto together = time_of([&] { run_all(runs, 4); });
  const auto alone = time_of([&] { run_all(runs, 1); });
  CHECK(alone >= milliseconds(200));
  CHECK(together < alone);
}

TEST_CASE("results come in the order of the checks") {
  const auto results = run_all({shell("sleep 0.05; echo a"), shell("echo b"), shell("exit 1")});
  REQUIRE(results.size() == 3);
  CHECK(results[0].output == "a\n");
  CHECK(results[1].output == "b\n");
  CHECK_FALSE(results[2].passed);
}

TEST_CASE("a check that ends early does not take its neighbour's processes with it") {
  const auto results = run_all(
      {shell("setsid sh -c 'sleep 0.2; echo late' | cat"), shell("setsid sleep 60 & exit 0")});
  CHECK(results[0].output == "late\n");
  CHECK(results[1].passed);
}

TEST_CASE("a cancel ends hanging checks within a second") {
  const ScratchDirectory directory;
  const std::string first = directory / "first", second = directory / "second";
  Cancellation cancellation;
  std::thread canceller([&] {
    for (const auto& file : {first, second}) {
      // It is there before the number is in it.
      for (pid_t pid = 0; !(std::ifstream(file) >> pid);) std::this_thread::yield();
    }
    cancellation.request();
  });
  const auto processes = make_posix_processes(worker_directory());
  const auto hanging = [](const std::string& file) {
    return shell(leaving("(trap '' TERM; exec setsid sleep 60)", file) + "sleep 60");
  };
  const auto code = code_of([&] {
    Checker(*processes, own_identity()).run({hanging(first), hanging(second)}, 2, &cancellation);
  });
  CHECK(code == Code::kCancelled);
  canceller.join();
  CHECK_FALSE(alive(first));
  CHECK_FALSE(alive(second));
}

TEST_CASE("a check that kills those that watch over it fails, and nothing of it is left") {
  const ScratchDirectory directory;
  const auto file = directory / "pid";
  const auto keeper = run_one(shell(leaving("setsid sleep 60", file) + "kill -9 $PPID; sleep 60"));
  CHECK_FALSE(keeper.passed);
  CHECK_FALSE(alive(file));
  const auto worker = shell(leaving("setsid sleep 60", file) +
                            "kill -9 $(cut -d' ' -f4 /proc/$PPID/stat); kill -9 $PPID; sleep 60");
  CHECK(code_of([&] { run_one(worker); }) == Code::kWorker);
  CHECK_FALSE(alive(file));
}

TEST_CASE(
    "a signal, a time-out or a forbidden text is worse than an exit code, another code is not") {
  CheckResult before;
  before.exit_code = 1;
  before.reason = "exit code 1";
  CheckResult now = before;
  now.exit_code = 2;
  CHECK_FALSE(now.fails_worse_than(before));
  // What a reason merely quotes says nothing.
  now.reason = "cannot be run: output contains a directory";
  CHECK_FALSE(now.fails_worse_than(before));
  now.forbidden = "Traceback";
  CHECK(now.fails_worse_than(before));
  before.forbidden = "[ERR]";
  CHECK_FALSE(now.fails_worse_than(before));
  now.timed_out = true;
  CHECK(now.fails_worse_than(before));
  before.timed_out = true;
  now.signal = 11;
  CHECK(now.fails_worse_than(before));
}

TEST_CASE("a lying check worker is caught") {
  using nlohmann::json;
  CheckResult good;
  good.passed = true;
  good.exit_code = 0;
  auto failed = good;
  failed.exit_code = 1;
  auto accusing = good;
  accusing.passed = false;
  accusing.forbidden = "a text nobody forbade";
  auto huge = good;
  huge.output.assign(500'000, 'x');
  const auto answer = [](const json& index, const CheckResult& result) {
    return json{{"index", index}, {"result", check_result_to_json(result)}};
  };
  for (const json& lie : {answer(7, good), answer(-1, good), answer("0", good), answer(0, failed),
                          answer(0, huge), answer(0, accusing), json{{"index", 0}},
                          json{{"index", 0}, {"result", {{"passed", "yes"}}}}, json::object()}) {
    ThreadProcesses processes;
    processes.run(WorkerKind::kCheck, [&](WorkerLink& link, const Identity&) {
      link.receive();
      link.receive();
      link.send(lie);
    });
    CHECK(code_of([&] { Checker(processes, own_identity()).run({shell("")}, 1, nullptr); }) ==
          Code::kWorker);
  }
}

}  // namespace mcpu::check_test
