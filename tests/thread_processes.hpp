#pragma once

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "daemon/check_messages.hpp"
#include "daemon/processes.hpp"
#include "daemon/worker/home_operations.hpp"
#include "proto/error.hpp"

namespace mcpu {

/// Workers as threads of this process: the same operations, over any file system, with any script
/// in place of a program. What is thrown in a worker, a simulated crash above all, ends its thread
/// and closes its link, as a killed process would.
class ThreadProcesses final : public ProcessPort {
 public:
  using Program = std::function<void(WorkerLink&, const Identity&)>;
  using Check = std::function<CheckResult(const CheckRun&)>;

  ThreadProcesses() = default;
  /// kConfig and kLock work on `fs` (not owned); kCheck lets every check pass.
  explicit ThreadProcesses(FileSystem& fs) {
    for (const WorkerKind kind : {WorkerKind::kConfig, WorkerKind::kLock}) {
      run(kind, [&fs](WorkerLink& link, const Identity&) { serve_home(link, fs, false); });
    }
    run_checks_by([](const CheckRun&) {
      CheckResult result;
      result.passed = true;
      result.exit_code = 0;
      return result;
    });
  }

  /// What workers of this kind do from now on.
  void run(WorkerKind kind, Program program) { programs_[kind] = std::move(program); }

  /// Checks are answered by `check`, called in the worker's thread, one after the other, batch
  /// after batch.
  void run_checks_by(Check check) {
    run(WorkerKind::kCheck, [check = std::move(check)](WorkerLink& link, const Identity&) {
      for (;;) {
        const auto count = link.receive().at("checks").get<std::size_t>();
        std::vector<CheckRun> runs;
        while (runs.size() < count) runs.push_back(check_run_from_json(link.receive()));
        for (std::size_t i = 0; i < count; ++i) {
          link.send({{"index", i}, {"result", check_result_to_json(check(runs[i]))}});
        }
      }
    });
  }

  std::unique_ptr<Worker> start(WorkerKind kind, const Identity& who) override {
    const auto found = programs_.find(kind);
    if (found == programs_.end()) throw Error(Code::kWorker, "no program for this kind of worker");
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
      throw io_error("create", "a socket pair", errno);
    }
    return std::make_unique<ThreadWorker>(WorkerLink(UniqueFd(ends[0])),
                                          WorkerLink(UniqueFd(ends[1])), found->second, who);
  }

 private:
  class ThreadWorker final : public Worker {
   public:
    ThreadWorker(WorkerLink daemon, WorkerLink worker, Program program, const Identity& who)
        : link_(std::move(daemon)),
          thread_([link = std::move(worker), run = std::move(program), who]() mutable {
            // Its end closes here, not when the thread is joined.
            auto own_link = std::move(link);
            try {
              run(own_link, who);
            } catch (...) {
              // The closed link says it.
            }
          }) {}
    ~ThreadWorker() override {
      link_.reset();
      thread_.join();
    }
    WorkerLink& link() override { return *link_; }

   private:
    std::optional<WorkerLink> link_;
    std::thread thread_;
  };

  std::map<WorkerKind, Program> programs_;
};

}  // namespace mcpu
