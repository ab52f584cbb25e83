#include "daemon/worker/syntax.hpp"

#include <doctest/doctest.h>

#include <string>

namespace mcpu::syntax_test {

TEST_CASE("sound files have no problem") {
  CHECK_FALSE(find_syntax_problem(R"({"mcpServers": {"a": [1, 2.5, null, true]}})", "json"));
  CHECK_FALSE(find_syntax_problem("// why\n{ /* here */ }\n", "json"));
  CHECK_FALSE(find_syntax_problem("[mcp_servers.a]\ncommand = \"npx\"\n", "toml"));
  CHECK_FALSE(find_syntax_problem("", "toml"));
  CHECK_FALSE(find_syntax_problem("{{{", "other"));
}

TEST_CASE("a problem names its line") {
  const auto json = find_syntax_problem("{\n  \"a\": 1,\n  \"b\": oops\n}\n", "json");
  REQUIRE(json);
  CHECK(json->starts_with("line 3: "));
  const auto toml = find_syntax_problem("a = 1\nb = = 2\n", "toml");
  REQUIRE(toml);
  CHECK(toml->starts_with("line 2: "));
}

TEST_CASE("a file that was cut off is told from one that is wrong") {
  CHECK(find_syntax_problem("{\n\"a\": [1,\n", "json")->find("it ends in the middle") !=
        std::string::npos);
  CHECK(find_syntax_problem("", "json") == "line 1: the file is empty");
  CHECK(find_syntax_problem("{} {}", "json").has_value());
}

TEST_CASE("nesting without end and foreign bytes are problems, not crashes") {
  CHECK(find_syntax_problem(std::string(1'000'000, '['), "json").has_value());
  CHECK(find_syntax_problem("a = " + std::string(100'000, '['), "toml").has_value());
  CHECK(find_syntax_problem("{\"a\": \"\xc4\xe3\"}", "json").has_value());
  CHECK(find_syntax_problem("a = \"\xc4\xe3\"", "toml").has_value());
}

}  // namespace mcpu::syntax_test
