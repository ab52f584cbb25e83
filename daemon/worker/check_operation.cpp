#include "daemon/worker/check_operation.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <vector>

#include "daemon/check_messages.hpp"
#include "daemon/worker/check_keeper.hpp"
#include "daemon/worker/process_tree.hpp"
#include "proto/error.hpp"

namespace mcpu {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

/// A keeper needs so much longer than its check at most; then something has stopped it.
constexpr std::chrono::milliseconds kKeeperGrace{2500};
constexpr std::size_t kMaxChecks = 1000;
/// Processes and threads of all checks of a user together.
constexpr std::size_t kMaxTasks = 2048;

struct Running {
  std::size_t index;
  pid_t keeper;
  WorkerLink link;
  Deadline deadline;
};

class CheckServer {
 public:
  explicit CheckServer(WorkerLink& daemon) : daemon_(daemon) {
    become_subreaper();
    limit_tasks(kMaxTasks);
  }
  ~CheckServer() { end_descendants({}, Clock::now() + kDying); }
  CheckServer(const CheckServer&) = delete;
  CheckServer& operator=(const CheckServer&) = delete;

  /// Batch after batch, until the daemon goes.
  [[noreturn]] void serve() {
    for (;;) {
      receive_runs();
      run_all();
    }
  }

 private:
  void run_all() {
    while (next_ < runs_.size() || !running_.empty()) {
      while (next_ < runs_.size() && running_.size() < at_once_) start(next_++);
      wait();
      finish_ended();
    }
  }

  void receive_runs() {
    runs_.clear();
    next_ = 0;
    const auto request = daemon_.receive();
    const auto checks = request.value("checks", std::size_t{0});
    at_once_ = std::max<std::size_t>(1, request.value("at_once", std::size_t{1}));
    if (checks > kMaxChecks) throw Error(Code::kWorker, "too many checks at a time");
    while (runs_.size() < checks) runs_.push_back(check_run_from_json(daemon_.receive()));
  }

  void start(std::size_t index) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
      throw io_error("create", "a socket pair", errno);
    }
    UniqueFd ours(ends[0]);
    UniqueFd theirs(ends[1]);
    const pid_t keeper = ::fork();
    if (keeper < 0) throw io_error("start", "a check", errno);
    if (keeper == 0) {
      ours.reset();
      run_keeper(index, WorkerLink(std::move(theirs)));
    }
    running_.push_back({index, keeper, WorkerLink(std::move(ours)),
                        Clock::now() + runs_[index].deadline + kKeeperGrace});
  }

  /// The keeper's process, from fork to end: nothing may leave it. It does not hold the links of
  /// the others, nor the daemon's: each must see at once when its worker is gone.
  [[noreturn]] void run_keeper(std::size_t index, WorkerLink link) noexcept {
    daemon_ = WorkerLink(UniqueFd());
    running_.clear();
    try {
      link.send(check_result_to_json(result_from_keeper(runs_[index], link)));
      ::_exit(0);
    } catch (const std::exception&) {
      ::_exit(1);  // the worker notices, if it is still there
    }
  }

  static CheckResult result_from_keeper(const CheckRun& run, const WorkerLink& link) {
    try {
      return keep_check(run, link);
    } catch (const Error& error) {
      CheckResult result;
      result.reason = std::string("cannot be run: ") + error.what();
      return result;
    }
  }

  void wait() {
    std::vector<pollfd> polled{pollfd{daemon_.descriptor(), POLLRDHUP, 0}};
    auto deadline = Deadline::max();
    for (const auto& one : running_) {
      polled.push_back({one.link.descriptor(), POLLIN, 0});
      deadline = std::min(deadline, one.deadline);
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    ::poll(polled.data(), polled.size(),
           static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000)));
    if (polled[0].revents != 0) throw Error(Code::kWorker, "the daemon has gone");
    ready_.clear();
    for (std::size_t i = 0; i < running_.size(); ++i) {
      if (polled[i + 1].revents != 0 || Clock::now() >= running_[i].deadline) ready_.push_back(i);
    }
  }

  void finish_ended() {
    for (auto at = ready_.rbegin(); at != ready_.rend(); ++at) {
      auto ended = std::move(running_[*at]);
      running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(*at));
      const auto result = result_of(ended);
      end_all_but_running();
      daemon_.send({{"index", ended.index}, {"result", check_result_to_json(result)}});
    }
  }

  static CheckResult result_of(Running& ended) {
    ended.link.limit(Clock::now() + kDying, nullptr);
    try {
      return check_result_from_json(ended.link.receive());
    } catch (const Error&) {
      CheckResult result;
      result.reason = "the process that watches over it was killed or stopped";
      return result;
    }
  }

  /// The keeper that has answered or failed, and what it could not end any more.
  void end_all_but_running() {
    std::vector<pid_t> keep;
    for (const auto& one : running_) keep.push_back(one.keeper);
    end_descendants(keep, Clock::now() + kDying);
  }

  WorkerLink& daemon_;
  std::vector<CheckRun> runs_;
  std::size_t at_once_ = 1;
  std::size_t next_ = 0;
  std::vector<Running> running_;
  std::vector<std::size_t> ready_;  ///< places in running_, ascending
};

}  // namespace

void serve_checks(WorkerLink& link) { CheckServer(link).serve(); }

}  // namespace mcpu
