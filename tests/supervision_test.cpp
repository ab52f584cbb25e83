#include "daemon/supervision.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace mcpu::supervision_test {

using namespace std::chrono_literals;

namespace {

/// A server's thread and a service manager, of which a test turns the clock.
struct Bench {
  Bench()
      : supervision({[this] { return activity; },
                     [this](std::chrono::milliseconds, std::function<void()> work) {
                       waiting.push_back(std::move(work));
                     },
                     [this](const std::string& message) { heard.push_back(message); }},
                    timer) {}

  /// The time of everything that waits has come.
  void pass() {
    for (const auto& work : std::exchange(waiting, {})) work();
  }
  auto count(const std::string& message) const {
    return std::count(heard.begin(), heard.end(), message);
  }

  StepTimer timer;
  std::string activity = kIdleActivity;
  std::vector<std::function<void()>> waiting;
  std::vector<std::string> heard;
  Supervision supervision;
};

}  // namespace

TEST_CASE("the status is told when it changes, until there is nothing to do") {
  Bench bench;
  bench.supervision.start({});
  CHECK(bench.heard == std::vector<std::string>{"STATUS=idle"});
  CHECK(bench.waiting.empty());
  bench.activity = "job 1 (upgrade): stage 40 %";
  bench.supervision.look();
  bench.supervision.look();
  CHECK(bench.waiting.size() == 1);
  bench.pass();
  CHECK(bench.count("STATUS=job 1 (upgrade): stage 40 %") == 1);
  bench.activity = kIdleActivity;
  bench.pass();
  CHECK(bench.heard.back() == "STATUS=idle");
  CHECK(bench.waiting.empty());
}

TEST_CASE("a remark is told behind the status as long as it holds, and keeps nobody busy") {
  Bench bench;
  bench.supervision.start({});
  bench.supervision.remark("config.json:3: no such key");
  CHECK(bench.heard.back() == "STATUS=idle; config.json:3: no such key");
  CHECK(bench.waiting.empty());
  bench.activity = "job 1 (upgrade): stage";
  bench.supervision.look();
  CHECK(bench.heard.back() == "STATUS=job 1 (upgrade): stage; config.json:3: no such key");
  bench.activity = kIdleActivity;
  bench.supervision.remark("");
  CHECK(bench.heard.back() == "STATUS=idle");
}

TEST_CASE("signs of life are given again and again, but not for a step that hangs") {
  Bench bench;
  bench.supervision.start(3s);
  CHECK(bench.count("WATCHDOG=1") == 1);
  bench.pass();
  CHECK(bench.count("WATCHDOG=1") == 2);
  {
    const TimedStep hanging(&bench.timer, -60s);
    bench.pass();
    bench.pass();
    CHECK(bench.count("WATCHDOG=1") == 2);
  }
  bench.pass();
  CHECK(bench.count("WATCHDOG=1") == 3);
}

}  // namespace mcpu::supervision_test
