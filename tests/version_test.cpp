#include "daemon/version.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace mcpu::version_test {

TEST_CASE("versions are ordered by number, not by letter") {
  CHECK(parse_version("1.3.11") > parse_version("1.3.9"));
  CHECK(parse_version("v1.10") > parse_version("v1.9.9"));
  CHECK(parse_version("2") == parse_version("v2.0.0"));
}

TEST_CASE("pre-releases come before their release in the order of semver section 11") {
  const std::vector<std::string> ordered{"1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta",
                                         "1.0.0-beta",  "1.0.0-beta.2",  "1.0.0-beta.11",
                                         "1.0.0-rc.1",  "1.0.0",         "1.0.1-rc.1"};
  for (std::size_t i = 1; i < ordered.size(); ++i) {
    INFO(ordered[i - 1], " < ", ordered[i]);
    CHECK(parse_version(ordered[i - 1]) < parse_version(ordered[i]));
  }
}

TEST_CASE("numbers of a pre-release longer than any machine word still compare") {
  CHECK(parse_version("1.0.0-99999999999999999999998") <
        parse_version("1.0.0-99999999999999999999999"));
}

TEST_CASE("commits after a tag are newer than the tag and older than the next one") {
  const auto described = parse_version("v1.3.11-4-gabcdef0");
  REQUIRE(described);
  CHECK(described->commits_after == 4);
  CHECK(described->pre_release.empty());
  CHECK(described > parse_version("1.3.11"));
  CHECK(described < parse_version("1.3.12"));
  CHECK(parse_version("1.0.0-rc.1-2-g0123456")->pre_release == std::vector<std::string>{"rc", "1"});
}

TEST_CASE("build metadata does not count") {
  CHECK(parse_version("1.2.3+build.007") == parse_version("1.2.3"));
  CHECK_FALSE(parse_version("1.2.3+"));
}

TEST_CASE("what is no version is refused") {
  for (const char* text : {"", "v", "main", "1.", "1..2", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3-01",
                           "1.2.3-a..b", "1.2.3-\xff", "99999999999999999999", "1.2.3 ", "-1"}) {
    INFO(text);
    CHECK_FALSE(parse_version(text));
  }
}

TEST_CASE("only the v of a version is left out") {
  CHECK(without_v("v1.2") == "1.2");
  CHECK(without_v("vision") == "vision");
  CHECK(without_v("v") == "v");
}

}  // namespace mcpu::version_test
