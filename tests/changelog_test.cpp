#include "daemon/changelog.hpp"

#include <doctest/doctest.h>

namespace mcpu::changelog_test {

namespace {

constexpr const char* kChangelog =
    "# Changelog of 2026\n"
    "\n"
    "## [Unreleased]\n"
    "- not yet\n"
    "\n"
    "## v1.3.11 (2026-01-09)\r\n"
    "- eleven\n"
    "### Upgrade from 1.2.0\n"
    "- deep\n"
    "\n"
    "## [1.3.10] - 2025-12-01\n"
    "- ten\n"
    "\n"
    "## 1.3.9\n"
    "- nine\n"
    "## Thanks\n"
    "- to all\n";

}  // namespace

TEST_CASE("the first heading with a version names the release") {
  CHECK(first_version(kChangelog) == "1.3.11");
  CHECK(first_version("# Version [v2.0.0-rc.1]: soon\n") == "2.0.0-rc.1");
}

TEST_CASE("a version outside a heading, a year and a date are no version") {
  CHECK(first_version("1.2.3\n#hash 1.2.3\n# News of 2026\n## 2026-01-09\n").empty());
  CHECK(first_version("").empty());
  CHECK(first_version("#").empty());
}

TEST_CASE("the lines between two versions hold the newer one and not the older one") {
  const auto lines = changes_between(kChangelog, "1.3.9", "v1.3.11");
  const std::vector<std::string> expected{
      "## v1.3.11 (2026-01-09)",  "- eleven", "### Upgrade from 1.2.0", "- deep", "",
      "## [1.3.10] - 2025-12-01", "- ten"};
  CHECK(lines == expected);
}

TEST_CASE("a section without a version belongs to no release") {
  const auto lines = changes_between(kChangelog, "1.3.8", "1.3.9");
  CHECK(lines == std::vector<std::string>{"## 1.3.9", "- nine"});
}

TEST_CASE("a long list ends with how much was left out") {
  const auto lines = changes_between(kChangelog, "1.0.0", "9.0.0", 2);
  REQUIRE(lines.size() == 3);
  CHECK(lines[2] == "... and 8 more lines");
}

TEST_CASE("without two versions, or going back, there is nothing to list") {
  CHECK(changes_between(kChangelog, "main", "1.3.11").empty());
  CHECK(changes_between(kChangelog, "1.3.9", "0-abcdef01").size() == 0);
  CHECK(changes_between(kChangelog, "1.3.11", "1.3.9").empty());
}

}  // namespace mcpu::changelog_test
