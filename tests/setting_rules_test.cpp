#include "daemon/setting_rules.hpp"

#include <doctest/doctest.h>

namespace mcpu::setting_rules_test {

TEST_CASE("a name that becomes a path component cannot leave its directory") {
  CHECK(plain_name_rule("mcp-tool_2.x").empty());
  for (const char* name : {"", ".", "..", ".hidden", "a/b", "-x", "a b", "a\nb"})
    CHECK_FALSE(plain_name_rule(name).empty());
  CHECK_FALSE(plain_name_rule(std::string(65, 'a')).empty());
}

TEST_CASE("paths are absolute or relative as they must be, and without detours") {
  CHECK(absolute_path_rule("/usr/local/bin/mcp").empty());
  CHECK(absolute_path_rule("/home/王 芳/bin/mcp").empty());
  for (const char* path : {"", "/", "bin/mcp", "/a/../b", "/a//b", "/a/", "/./a", "/a\nb", "~/x"})
    CHECK_FALSE(absolute_path_rule(path).empty());
  CHECK(relative_path_rule("bin/mcp").empty());
  for (const char* path : {"", "/bin/mcp", "../mcp", "bin/../../mcp", "bin/", "./bin"})
    CHECK_FALSE(relative_path_rule(path).empty());
}

TEST_CASE("a source is a path or a URL of a known kind") {
  for (const char* source : {"/srv/mcp", "https://example.org/a.git", "ssh://git@host/a",
                             "git@example.org:group/a.git", "file:///srv/a", "http://localhost/a"})
    CHECK_MESSAGE(source_rule(source).empty(), source);
  for (const char* source : {"", "mcp", "./mcp", "ftp://host/a", "ext::sh -c id", "https://",
                             "-oProxyCommand=x", "a/b@c:d", "@host:a", "u@:a", "/a\nb"})
    CHECK_MESSAGE(!source_rule(source).empty(), source);
}

TEST_CASE("JSON pointers, variables, units, accounts and versions have their form") {
  CHECK(json_pointer_rule("").empty());
  CHECK(json_pointer_rule("/a~1b/c").empty());
  CHECK_FALSE(json_pointer_rule("a").empty());
  CHECK_FALSE(json_pointer_rule("/a~").empty());
  CHECK(variable_name_rule("LC_ALL").empty());
  CHECK_FALSE(variable_name_rule("1A").empty());
  CHECK_FALSE(variable_name_rule("A=B").empty());
  CHECK_FALSE(variable_name_rule("HOME").empty());
  CHECK(unit_name_rule("app@1.service").empty());
  CHECK(unit_name_rule("user:app.service").empty());
  CHECK_FALSE(unit_name_rule("user:").empty());
  CHECK_FALSE(unit_name_rule("app").empty());
  for (const char* own :
       {"mcp-upgraded.service", "mcp-upgraded.socket", "mcp-upgrade.service", "mcp-upgrade.timer",
        "mcp-upgraded-recovery.service", "user:mcp-upgraded.service"}) {
    CHECK(unit_name_rule(own).find("mcp-upgraded itself") != std::string::npos);
  }
  CHECK(unit_name_rule("mcp-upgraded-monitor.service").empty());
  CHECK_FALSE(unit_name_rule("../x.service").empty());
  CHECK(account_name_rule("www-data").empty());
  CHECK_FALSE(account_name_rule("a b").empty());
  CHECK(version_rule("3.11").empty());
  CHECK_FALSE(version_rule("3.").empty());
  CHECK_FALSE(version_rule(">=3").empty());
}

}  // namespace mcpu::setting_rules_test
