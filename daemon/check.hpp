#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "daemon/kept_worker.hpp"

namespace mcpu {

/// A check as the configuration describes it: arguments for an entry point.
struct CheckSpec {
  std::string name;   ///< "mcp status"
  std::string entry;  ///< entry point's name
  std::vector<std::string> arguments;
  std::chrono::milliseconds deadline{10'000};
  std::vector<std::string> forbid;  ///< texts that must not appear in the output
  std::vector<int> accept{0};       ///< accepted exit codes
  bool essential = false;           ///< must succeed in any case (`--help`)
};

/// One command to run: a check bound to a program, a home and an environment.
struct CheckRun {
  std::string name;
  std::string program;                             ///< absolute path
  std::vector<std::string> arguments;              ///< without argv[0]
  std::map<std::string, std::string> environment;  ///< added to the built one, may replace HOME
  std::string directory;                           ///< working directory
  std::chrono::milliseconds deadline{10'000};
  std::vector<std::string> forbid;
  std::vector<int> accept{0};
};

/// What came of it.
struct CheckResult {
  std::string name;
  bool passed = false;
  int exit_code = -1;  ///< -1: ended by a signal or not started
  int signal = 0;
  bool timed_out = false;
  int start_error = 0;    ///< errno of what kept it from being started; 0: it was started
  std::string reason;     ///< why it did not pass, one line: "exit code 2", "output contains ..."
  std::string forbidden;  ///< the text of CheckSpec::forbid that it printed; empty: none
  std::string output;     ///< UTF-8, bounded: stdout and stderr, the middle left out if long
  std::chrono::milliseconds duration{0};

  /// Fails in a way that is not just another exit code: by a signal, a time-out or a forbidden text
  /// that the other run did not have. Exit codes alone change between releases for the same cause.
  bool fails_worse_than(const CheckResult& other) const;
};

inline constexpr std::size_t kCheckOutputBytes = 64 * 1024;

/// Runs checks as one user, in a worker. One thread at a time.
class Checker {
 public:
  Checker(ProcessPort& processes, Identity who)
      : worker_(processes, WorkerKind::kCheck, std::move(who)) {}

  /// As of KeptWorker.
  void start() { worker_.start(); }
  void rest() { worker_.rest(); }
  /// Runs checks side by side, at most `at_once` at a time. Results in the order of `runs`. Each
  /// has its own deadline; all their processes are gone when it returns. Throws Error{kCancelled},
  /// kWorker; a failing check is a result, not an error.
  std::vector<CheckResult> run(const std::vector<CheckRun>& runs, std::size_t at_once,
                               const Cancellation* cancellation);

 private:
  KeptWorker worker_;
};

}  // namespace mcpu
