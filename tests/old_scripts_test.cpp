#include "daemon/old_scripts.hpp"

#include <doctest/doctest.h>

namespace mcpu::old_scripts_test {

namespace {

constexpr const char* kCheckout = "/opt/mcp local";
constexpr const char* kQuick = "/opt/mcp local/scripts/quick-upgrade.sh";
constexpr const char* kAuto = "/opt/mcp local/scripts/auto-upgrade.sh";

std::string script_in(const char* command) { return old_script_in(command, kCheckout); }

}  // namespace

TEST_CASE("a command line that runs an old script of the checkout is recognized") {
  CHECK(script_in("/bin/bash \"/opt/mcp local/scripts/quick-upgrade.sh\"") == kQuick);
  CHECK(script_in("bash -e '/opt/mcp local/scripts/auto-upgrade.sh' --force") == kAuto);
  CHECK(script_in("/bin/bash ./quick-upgrade.sh") == kQuick);
  CHECK(script_in("sh scripts/auto-upgrade.sh --quiet") == kAuto);
  CHECK(script_in("dash -x ../scripts/auto-upgrade.sh") == kAuto);
}

TEST_CASE("one that only names it, or runs another's, is not") {
  CHECK(script_in("").empty());
  CHECK(script_in("bash").empty());
  CHECK(script_in("tail -f scripts/quick-upgrade.sh").empty());
  CHECK(script_in("/bin/bash /elsewhere/scripts/quick-upgrade.sh").empty());
  CHECK(script_in("bash other-quick-upgrade.sh").empty());
  CHECK(script_in("bash -c \"sleep 60\" scripts/quick-upgrade.sh").empty());
}

}  // namespace mcpu::old_scripts_test
