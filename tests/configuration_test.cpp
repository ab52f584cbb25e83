#include "daemon/configuration.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

#include "proto/error.hpp"
#include "tests/built_programs.hpp"

namespace mcpu::configuration_test {

using namespace std::chrono_literals;

namespace {

Configuration parse(const std::string& text) {
  return parse_configuration(text, "/etc/c.json", "/links", "/home/ann");
}

std::string refusal(const std::string& text) {
  try {
    parse(text);
  } catch (const Error& error) {
    CHECK(error.code() == Code::kConfig);
    return error.what();
  }
  return "accepted";
}

const char* const kDemo = R"("demo": {"entry_points": [{"name": "demo", "path": "bin/demo"}]})";

}  // namespace

TEST_CASE("an empty object is the built-in configuration") {
  Configuration expected = default_configuration("/links");
  CHECK(to_json(parse("{}")) == to_json(expected));
  CHECK(expected.application("").name == "mcp");
  CHECK(expected.application("").entry_points[0].link == "/links/mcp");
  CHECK(expected.application("").files.size() == 11);
}

TEST_CASE("the installed example says exactly what is built in") {
  std::ifstream file(source_directory() + "/systemd/config.example.json");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const nlohmann::json effective = to_json(parse(text));
  CHECK(effective == to_json(default_configuration("/links")));
  const nlohmann::json example = nlohmann::json::parse(text, nullptr, true, true);
  for (const auto& [key, value] : effective.items())
    CHECK_MESSAGE(example.contains(key), "the example leaves out " << key);
  const auto application = "/applications/mcp"_json_pointer;
  for (const auto& [key, value] : effective.at(application).items())
    CHECK_MESSAGE(example.at(application).contains(key), "the example leaves out " << key);
}

TEST_CASE("the effective configuration reads back as itself") {
  const std::string text = std::string(R"({"idle_exit": 0, "wait": {"quick": 1},
      "limits": {"resolve_seconds": 7, "tree_entries": 10}, "applications": {)") +
                           kDemo + "}}";
  const nlohmann::json shown = to_json(parse(text));
  CHECK(to_json(parse(shown.dump(2))) == shown);
}

TEST_CASE("values go where they belong") {
  const Configuration c = parse(R"({
    // who
    "group": "ops", "users": ["ann", "bob"], "required_users": ["bob"],
    "wait": {"quick": 5, "full": 6}, "idle_exit": 0, "retention": {"quick": 2, "jobs": 50},
    "limits": {"clone_bytes": 1000, "home_seconds": 3}, "known_hosts": "~/.ssh/known_hosts"})");
  CHECK(c.group == "ops");
  CHECK(c.required_users == std::vector<std::string>{"bob"});
  CHECK(c.wait_quick == 5s);
  CHECK(c.wait_full == 6s);
  CHECK(c.idle_exit == 0s);
  CHECK(c.retention.quick_jobs == 2);
  CHECK(c.retention.jobs == 50);
  CHECK(c.limits.clone_bytes == 1000);
  CHECK(c.limits.home == 3s);
  CHECK(c.known_hosts == "/home/ann/.ssh/known_hosts");
  CHECK(c.file == "/etc/c.json");
}

TEST_CASE("impossible values are refused with file, line and key") {
  CHECK(refusal("{\n\"wait\": {\"quick\": -1}}") ==
        "/etc/c.json:2: /wait/quick: must be at least 0");
  CHECK(refusal(R"({"retention": {"full": 0}})") ==
        "/etc/c.json:1: /retention/full: must be at least 1");
  CHECK(refusal(R"({"limits": {"stage_seconds": 0}})") ==
        "/etc/c.json:1: /limits/stage_seconds: must be at least 1");
  CHECK(refusal(R"({"format": 2})") ==
        "/etc/c.json:1: /format: format 2 is newer than this program knows (1): upgrade "
        "mcp-upgraded");
  CHECK(refusal(R"({"users": ["ann"], "required_users": ["bob"]})") ==
        "/etc/c.json:1: /required_users: \"bob\" is not in users; add it there or remove it here");
  CHECK(refusal(R"({"ca_file": "ca.pem"})") ==
        "/etc/c.json:1: /ca_file: must be an absolute path (or start with \"~/\")");
  CHECK(refusal(R"({"wiat": {}})") ==
        "/etc/c.json:1: /wiat: is not a known key; did you mean \"wait\"?");
  CHECK(refusal("[]") == "/etc/c.json:1: must be an object, not a list");
}

TEST_CASE("application names cannot lead out of the state directory") {
  for (const char* name : {"a/b", ".hidden", "..", ""}) {
    const std::string text = std::string(R"({"applications": {")") + name +
                             R"(": {"entry_points": [{"name": "d", "path": "d"}]}}})";
    CHECK(refusal(text).find("the name of an application ") != std::string::npos);
  }
}

TEST_CASE("another application stands beside the built-in one, which can be taken away") {
  const Configuration both = parse(std::string(R"({"applications": {)") + kDemo + "}}");
  CHECK(both.applications.size() == 2);
  CHECK(both.application("").name == "mcp");
  CHECK(both.application("demo").entry_points[0].link == "/links/demo");
  const Configuration one = parse(std::string(R"({"applications": {"mcp": null, )") + kDemo + "}}");
  CHECK(one.application("").name == "demo");
  CHECK(refusal(R"({"applications": {"mcp": null}})") ==
        "/etc/c.json:1: /applications: must leave at least one application");
  CHECK(refusal(R"({"applications": {"demo": null}})") ==
        "/etc/c.json:1: /applications/demo: is null, but there is no built-in application of that "
        "name");
}

TEST_CASE("an application that is not there is answered with those that are") {
  const Configuration both = parse(std::string(R"({"applications": {)") + kDemo + "}}");
  CHECK_THROWS_WITH_AS(both.application("dmeo"),
                       "no application \"dmeo\" is configured; there is: mcp, demo", Error);
  const Configuration two = parse(
      R"({"applications": {"mcp": null, "a": {"entry_points": [{"name": "a", "path": "a"}]},
                                        "b": {"entry_points": [{"name": "b", "path": "b"}]}}})");
  CHECK_THROWS_WITH_AS(two.application(""), "several applications are configured; say which: a, b",
                       Error);
}

TEST_CASE("two applications cannot have the same link") {
  CHECK(refusal(R"({"applications": {
          "demo": {"entry_points": [{"name": "m", "path": "m", "link": "/links/mcp"}]}}})") ==
        "/etc/c.json:1: /applications: the link /links/mcp is that of mcp's mcp and of demo's m; "
        "give one another \"link\"");
}

TEST_CASE("a password in a source is not shown") {
  const auto shown = [](const std::string& source) {
    return to_json(parse("{\"applications\": {\"mcp\": {\"source\": \"" + source + "\"}}}"))
        .at("/applications/mcp/source"_json_pointer)
        .get<std::string>();
  };
  CHECK(shown("https://u:secret@example.org/a@b") == "https://u:***@example.org/a@b");
  CHECK(shown("https://u:se@cret@example.org") == "https://u:***@example.org");
  CHECK(shown("https://example.org:8443/a") == "https://example.org:8443/a");
  CHECK(shown("git@example.org:a/b") == "git@example.org:a/b");
}

}  // namespace mcpu::configuration_test
