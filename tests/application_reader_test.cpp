#include "daemon/application_reader.hpp"

#include <doctest/doctest.h>

#include "proto/error.hpp"

namespace mcpu::application_reader_test {

using namespace std::chrono_literals;

namespace {

const std::string kFile = "c.json";
const PathContext kContext{"/links", "/home/ann"};

Application read(const std::string& text, Application application = {}) {
  read_application(read_settings(text, kFile), kFile, kContext, application);
  return application;
}

std::string refusal(const std::string& text, const Application& application = {}) {
  try {
    read(text, application);
  } catch (const Error& error) {
    CHECK(error.code() == Code::kConfig);
    return std::string(error.what()).substr(kFile.size() + 1);
  }
  return "accepted";
}

Application built_in() { return default_configuration("/links").applications.front(); }

/// An application with one entry point and what else `more` says.
std::string with_entry(const std::string& more) {
  return R"({"entry_points": [{"name": "tool", "path": "bin/tool"}])" + more + "}";
}

}  // namespace

TEST_CASE("an application needs no more than an entry point") {
  const Application tool = read(with_entry(""));
  REQUIRE(tool.entry_points.size() == 1);
  CHECK(tool.entry_points[0].link == "/links/tool");
  CHECK(tool.changelog == "CHANGELOG.md");
  CHECK(tool.checks.empty());
  CHECK(refusal("{}") == "1: must have \"entry_points\"");
  CHECK(refusal(R"({"entry_points": []})") ==
        "1: /entry_points: must have at least one entry point");
}

TEST_CASE("a tilde stands for the home in links and sources") {
  const Application tool = read(
      R"({"source": "~/src/tool",
          "entry_points": [{"name": "tool", "path": "t", "link": "~/bin/tool"}]})");
  CHECK(tool.source == "/home/ann/src/tool");
  CHECK(tool.entry_points[0].link == "/home/ann/bin/tool");
}

TEST_CASE("entry points that lead elsewhere are refused") {
  CHECK(refusal(R"({"entry_points": [{"name": "t", "path": "../t"}]})") ==
        "1: /entry_points/0/path: must not contain \".\" or \"..\" as a component");
  CHECK(refusal(R"({"entry_points": [{"name": "t", "path": "t", "link": "bin/t"}]})") ==
        "1: /entry_points/0/link: must be an absolute path (or start with \"~/\")");
  CHECK(refusal(R"({"entry_points": [{"name": "t", "path": "t"}, {"name": "t", "path": "u"}]})") ==
        "1: /entry_points/1: \"t\" is the name of two entry points");
}

TEST_CASE("a check is named after its command line and belongs to the first entry point") {
  const Application tool =
      read(with_entry(R"(, "checks": [{"arguments": ["list", "--all"], "deadline_seconds": 0.5,
                          "forbid": ["panic"], "accept": [0, 3], "essential": true}])"));
  REQUIRE(tool.checks.size() == 1);
  const CheckSpec& check = tool.checks[0];
  CHECK(check.name == "tool list --all");
  CHECK(check.entry == "tool");
  CHECK(check.deadline == 500ms);
  CHECK(check.accept == std::vector<int>{0, 3});
  CHECK(check.essential);
}

TEST_CASE("impossible checks are refused") {
  const auto refused = [](const std::string& check) {
    return refusal(with_entry(", \"checks\": [" + check + "]"));
  };
  CHECK(refused(R"({"arguments": [], "deadline_seconds": 0})") ==
        "1: /checks/0/deadline_seconds: must be more than 0");
  CHECK(refused(R"({"arguments": [], "entry": "other"})") ==
        "1: /checks/0/entry: is not the name of an entry point of this application");
  CHECK(refused(R"({"arguments": [], "accept": []})") ==
        "1: /checks/0/accept: must have at least one exit code");
  CHECK(refused(R"({"arguments": [], "accept": [256]})") ==
        "1: /checks/0/accept/0: must be an exit code, 0 to 255");
  CHECK(refused(R"({"arguments": [], "forbid": [""]})") ==
        "1: /checks/0/forbid/0: must not be empty");
  CHECK(refused(R"({})") == "1: /checks/0: must have \"arguments\"");
  CHECK(refused(R"({"arguments": []}, {"arguments": []})") == "1: has two checks called \"tool\"");
}

TEST_CASE("what is given replaces the default key by key") {
  const Application mcp = read(R"({"source": "/srv/mcp", "environment": {"A": "b"}})", built_in());
  CHECK(mcp.source == "/srv/mcp");
  CHECK(mcp.environment == std::map<std::string, std::string>{{"A", "b"}});
  CHECK(mcp.entry_points[0].link == "/links/mcp");
  CHECK(mcp.checks.size() == 3);
  CHECK(read(R"({"checks": [], "files": []})", built_in()).files.empty());
}

TEST_CASE("built-in checks of an entry point that was replaced are named") {
  CHECK(refusal(R"({"entry_points": [{"name": "other", "path": "bin/other"}]})", built_in()) ==
        "1: has a check \"mcp --help\" of the entry point \"mcp\", which is not in entry_points; "
        "give checks and deep_checks too");
}

TEST_CASE("a managed file's format follows from its name") {
  const Application tool =
      read(with_entry(R"(, "files": [{"path": ".a.json"}, {"path": ".b.toml", "servers": "/s"},
                               {"path": ".c"}, {"path": ".d.json", "format": "other"}])"));
  REQUIRE(tool.files.size() == 4);
  CHECK(tool.files[0].format == "json");
  CHECK(tool.files[1].format == "toml");
  CHECK(tool.files[1].servers == "/s");
  CHECK(tool.files[2].format == "other");
  CHECK(tool.files[3].format == "other");
  CHECK(refusal(with_entry(R"(, "files": [{"path": "a"}, {"path": "a"}])")) ==
        "1: /files/1: \"a\" is in the list twice");
  CHECK(refusal(with_entry(R"(, "files": [{"path": "a", "format": "yaml"}])")) ==
        "1: /files/0/format: must be \"json\", \"toml\" or \"other\"");
}

TEST_CASE("requirements and the environment are checked") {
  const Application tool =
      read(with_entry(R"(, "requirements": [{"program": "node", "minimum": "20"}])"));
  REQUIRE(tool.requirements.size() == 1);
  CHECK(tool.requirements[0].arguments == std::vector<std::string>{"--version"});
  CHECK(refusal(with_entry(R"(, "requirements": [{"program": "a/b"}])")) != "accepted");
  CHECK(refusal(with_entry(R"(, "environment": {"HOME": "/x"})"))
            .starts_with("1: /environment/HOME: cannot be set"));
}

}  // namespace mcpu::application_reader_test
