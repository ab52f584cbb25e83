#include "daemon/options.hpp"

#include <doctest/doctest.h>

#include <vector>

namespace mcpu::options_test {

namespace {

ParsedOptions parse(std::vector<const char*> arguments, bool is_root = false) {
  arguments.insert(arguments.begin(), "mcp-upgraded");
  return parse_daemon_options(static_cast<int>(arguments.size()), arguments.data(), is_root);
}

}  // namespace

TEST_CASE("without a mode root serves the machine and everybody else themselves") {
  CHECK(parse({}, true).options->instance.system);
  CHECK_FALSE(parse({}, true).options->instance.user);
  CHECK(parse({}, false).options->instance.user);
  CHECK(parse({"--user"}, true).options->instance.user);
  CHECK_FALSE(parse({"--user"}, true).options->instance.system);
}

TEST_CASE("paths and flags of the daemon's command line are read") {
  const ParsedOptions parsed = parse({"--config", "/c", "--state-dir=/s", "--socket", "/k",
                                      "--on-demand", "--program-dir", "/p", "-v"});
  REQUIRE(parsed.options);
  CHECK(parsed.options->instance.config_file == "/c");
  CHECK(parsed.options->instance.state_directory == "/s");
  CHECK(parsed.options->instance.socket == "/k");
  CHECK(parsed.options->program_directory == "/p");
  CHECK(parsed.options->on_demand);
  CHECK(parsed.options->verbose);
  CHECK_FALSE(parsed.options->check_config);
}

TEST_CASE("a misspelt option and two modes at once start nothing") {
  for (const auto& arguments :
       {std::vector<const char*>{"--statedir", "/s"}, {"--user", "--system"}, {"upgrade"}}) {
    const ParsedOptions parsed = parse(arguments);
    CHECK_FALSE(parsed.options);
    CHECK(parsed.exit_code == 2);
  }
}

}  // namespace mcpu::options_test
