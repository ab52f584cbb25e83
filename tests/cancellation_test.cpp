#include "daemon/cancellation.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <string>

#include "proto/error.hpp"

namespace mcpu::cancellation_test {

namespace {
bool readable(int fd) {
  pollfd polled{fd, POLLIN, 0};
  return ::poll(&polled, 1, 0) == 1;
}
}  // namespace

TEST_CASE("nothing is cancelled before somebody asks") {
  const Cancellation cancellation;
  CHECK_FALSE(cancellation.requested());
  CHECK_FALSE(readable(cancellation.wake_fd()));
  CHECK_NOTHROW(cancellation.check());
}

TEST_CASE("a request wakes whoever waits, and stays") {
  Cancellation cancellation;
  cancellation.request("the machine goes down");
  cancellation.request();
  CHECK(cancellation.requested());
  CHECK(readable(cancellation.wake_fd()));
  CHECK(readable(cancellation.wake_fd()));
  try {
    cancellation.check();
    FAIL("not cancelled");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kCancelled);
    CHECK(error.what() == std::string("the machine goes down"));
  }
}

}  // namespace mcpu::cancellation_test
