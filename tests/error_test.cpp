#include <doctest/doctest.h>

#include "proto/error.hpp"

namespace mcpu::error_test {

TEST_CASE("an input-output error names the path and keeps errno") {
  const Error error = io_error("rename", "/a\nb", ENOSPC);
  CHECK(std::string(error.what()) ==
        "cannot rename /a\\x0ab: No space left on device; free some space there");
  CHECK(error.sys() == ENOSPC);
}

}  // namespace mcpu::error_test
