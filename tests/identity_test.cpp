#include "daemon/identity.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>

#include "proto/error.hpp"

namespace mcpu::identity_test {

namespace {
/// HOME for the time of a test.
class HomeVariable {
 public:
  explicit HomeVariable(const char* value) {
    if (const char* old = std::getenv("HOME")) before_ = old;
    ::setenv("HOME", value, 1);
  }
  ~HomeVariable() {
    if (before_) {
      ::setenv("HOME", before_->c_str(), 1);
    } else {
      ::unsetenv("HOME");
    }
  }
  HomeVariable(const HomeVariable&) = delete;
  HomeVariable& operator=(const HomeVariable&) = delete;

 private:
  std::optional<std::string> before_;
};
}  // namespace

TEST_CASE("root is found by name and by number") {
  const auto by_name = identity_of("root");
  const auto by_uid = identity_of(0U);
  CHECK(by_name.uid == 0);
  CHECK(by_uid.name == "root");
  CHECK(by_name.home == by_uid.home);
  CHECK_FALSE(by_uid.shell.empty());
}

TEST_CASE("a user that does not exist is named") {
  try {
    identity_of("no such user");
    FAIL("found");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kNotFound);
    CHECK(std::string(error.what()).find("no such user") != std::string::npos);
  }
  CHECK_THROWS_AS(identity_of(4'000'000'001U), Error);
}

TEST_CASE("this process's user follows HOME if it is absolute") {
  {
    const HomeVariable home("/somewhere/else");
    CHECK(own_identity().home == "/somewhere/else");
    CHECK(own_identity().uid == ::geteuid());
  }
  const HomeVariable home("relative");
  if (::geteuid() == 0) CHECK(own_identity().home == identity_of(0U).home);
}

}  // namespace mcpu::identity_test
