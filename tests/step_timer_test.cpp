#include "daemon/step_timer.hpp"

#include <doctest/doctest.h>

namespace mcpu::step_timer_test {

using namespace std::chrono_literals;

TEST_CASE("a step is overdue only while it runs and its time and grace are over") {
  StepTimer timer;
  CHECK_FALSE(timer.overdue(0ms));
  {
    const TimedStep step(&timer, 60s);
    CHECK_FALSE(timer.overdue(0ms));
  }
  {
    const TimedStep step(&timer, -1s);
    CHECK(timer.overdue(0ms));
    CHECK_FALSE(timer.overdue(60s));
  }
  CHECK_FALSE(timer.overdue(0ms));
}

TEST_CASE("a step that fails is not timed any longer") {
  StepTimer timer;
  try {
    const TimedStep step(&timer, -1s);
    throw 1;
  } catch (int) {
  }
  CHECK_FALSE(timer.overdue(0ms));
}

}  // namespace mcpu::step_timer_test
