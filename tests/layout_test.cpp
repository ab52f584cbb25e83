#include "daemon/layout.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "proto/error.hpp"
#include "tests/environment_fixture.hpp"

namespace mcpu::layout_test {

using test::Variables;

namespace {

const test::Values kPlain = {{"HOME", "/home/ann"},
                             {"XDG_CONFIG_HOME", nullptr},
                             {"XDG_STATE_HOME", nullptr},
                             {"XDG_CACHE_HOME", nullptr},
                             {"XDG_RUNTIME_DIR", nullptr}};

test::Values with(test::Values changes) {
  changes.insert(kPlain.begin(), kPlain.end());
  return changes;
}

}  // namespace

TEST_CASE("user mode without XDG variables uses the usual places below the home") {
  const Variables variables(kPlain);
  const Instance instance = user_instance({});
  CHECK(instance.user_mode);
  CHECK(instance.config_file == "/home/ann/.config/mcp-upgraded/config.json");
  CHECK_FALSE(instance.config_required);
  CHECK(instance.layout.state == "/home/ann/.local/state/mcp-upgraded");
  CHECK(instance.layout.cache == "/home/ann/.cache/mcp-upgraded");
  CHECK(instance.socket == "/home/ann/.local/state/mcp-upgraded/run/socket");
  CHECK(instance.link_directory == "/home/ann/.local/bin");
}

TEST_CASE("user mode follows XDG variables, but not relative ones") {
  const Variables variables(with({{"XDG_CONFIG_HOME", "/c"},
                                  {"XDG_STATE_HOME", "relative"},
                                  {"XDG_CACHE_HOME", ""},
                                  {"XDG_RUNTIME_DIR", "/run/user/7"}}));
  const Instance instance = user_instance({});
  CHECK(instance.config_file == "/c/mcp-upgraded/config.json");
  CHECK(instance.layout.state == "/home/ann/.local/state/mcp-upgraded");
  CHECK(instance.layout.cache == "/home/ann/.cache/mcp-upgraded");
  CHECK(instance.socket == "/run/user/7/mcp-upgraded/socket");
}

TEST_CASE("a state directory of its own never shares socket or cache with another instance") {
  const Variables variables(with({{"XDG_RUNTIME_DIR", "/run/user/7"}}));
  InstanceOptions options;
  options.state_directory = "/srv//demo/../state/";
  const Instance instance = user_instance(options);
  CHECK(instance.layout.state == "/srv/state");
  CHECK(instance.socket == "/srv/state/run/socket");
  CHECK(instance.layout.cache == "/srv/state/cache");
  options.socket = "/tmp/own";
  CHECK(user_instance(options).socket == "/tmp/own");
}

TEST_CASE("relative paths on the command line are made absolute, and a named file is required") {
  const Variables variables(kPlain);
  InstanceOptions options;
  options.config_file = "mine.json";
  const Instance instance = user_instance(options);
  CHECK(instance.config_file == std::filesystem::current_path().string() + "/mine.json");
  CHECK(instance.config_required);
}

TEST_CASE("user mode without a home is a usage error, system mode needs none") {
  const Variables variables(with({{"HOME", nullptr}}));
  try {
    user_instance({});
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kUsage);
  }
  const Instance instance = system_instance({});
  CHECK_FALSE(instance.user_mode);
  CHECK(instance.config_file == "/etc/mcp-upgraded/config.json");
  CHECK(instance.layout.state == "/var/lib/mcp-upgraded");
  CHECK(instance.layout.cache == "/var/cache/mcp-upgraded");
  CHECK(instance.socket == "/run/mcp-upgraded/socket");
  CHECK(instance.link_directory == "/usr/local/bin");
}

}  // namespace mcpu::layout_test
