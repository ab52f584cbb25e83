#include "daemon/parallel.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

namespace mcpu::parallel_test {

TEST_CASE("every call is made once, however many threads there are") {
  for (const std::size_t threads : {0U, 1U, 3U, 200U}) {
    std::vector<std::atomic<int>> calls(100);
    parallel_for(calls.size(), threads, [&](std::size_t i) { ++calls[i]; });
    for (const auto& count : calls) CHECK(count == 1);
  }
  parallel_for(0, 4, [](std::size_t) { FAIL("called"); });
}

TEST_CASE("an exception ends the work and reaches the caller") {
  std::atomic<int> calls{0};
  const auto work = [&](std::size_t i) {
    ++calls;
    if (i == 3) throw std::runtime_error("third");
  };
  CHECK_THROWS_WITH(parallel_for(1'000'000, 4, work), "third");
  CHECK(calls < 1'000'000);
}

}  // namespace mcpu::parallel_test
