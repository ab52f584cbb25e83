#include "daemon/lock_holder.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include "daemon/file_system.hpp"
#include "tests/client_fixture.hpp"
#include "tests/scratch_directory.hpp"

namespace mcpu::lock_holder_test {

TEST_CASE("who holds a lock is found by number and name, as long as it is held") {
  const ScratchDirectory directory;
  const auto fs = make_posix_file_system();
  test::write_file(directory / "lock", "");
  {
    const auto lock = fs->lock(directory / "lock", LockKind::kWrite, std::chrono::milliseconds(0));
    const auto holder = find_lock_holder(directory / "lock");
    REQUIRE(holder);
    CHECK(holder->shown() == "process " + std::to_string(::getpid()) + " (unit-tests)");
  }
  CHECK_FALSE(find_lock_holder(directory / "lock"));
  CHECK_FALSE(find_lock_holder(directory / "none"));
}

}  // namespace mcpu::lock_holder_test
