#include "client/arguments.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "client/suggestion.hpp"
#include "proto/error.hpp"

namespace mcpu::arguments_test {

namespace {

Arguments parsed(const std::vector<std::string>& words) {
  const CommandLine line = parse_command_line(words);
  CHECK(line.text.empty());
  return line.arguments;
}

/// The message of the usage error that these words are.
std::string refusal(const std::vector<std::string>& words) {
  try {
    parse_command_line(words);
  } catch (const Error& error) {
    CHECK(error.code() == Code::kUsage);
    return error.what();
  }
  return "accepted";
}

bool says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("an upgrade's options arrive in the request") {
  const Arguments arguments = parsed({"upgrade", "--full", "--force", "--to", "v1.3.10", "--from",
                                      "/srv/src/", "--wait", "5", "--app", "demo"});
  CHECK(arguments.command == Command::kUpgrade);
  CHECK(arguments.request.kind == JobKind::kUpgrade);
  CHECK(arguments.request.mode == Mode::kFull);
  CHECK(arguments.request.force);
  CHECK(arguments.request.to == "v1.3.10");
  CHECK(arguments.request.from == "/srv/src");
  CHECK(arguments.request.wait == std::chrono::seconds(5));
  CHECK(arguments.request.app == "demo");
}

TEST_CASE("without options an upgrade is quick, and waits as long as the daemon says") {
  const Arguments arguments = parsed({"upgrade"});
  CHECK(arguments.request.mode == Mode::kQuick);
  CHECK_FALSE(arguments.request.wait.has_value());
  CHECK_FALSE(arguments.request.from.has_value());
  CHECK_FALSE(arguments.request.to.has_value());
}

TEST_CASE("options common to all commands stand before or after the command") {
  for (const auto& words :
       {std::vector<std::string>{"--json", "--user", "--socket", "/s", "status"},
        std::vector<std::string>{"status", "--json", "--user", "--socket", "/s"},
        std::vector<std::string>{"--json", "status", "--socket=/s", "--user"}}) {
    const Arguments arguments = parsed(words);
    CHECK(arguments.command == Command::kStatus);
    CHECK(arguments.json);
    CHECK(arguments.instance.user);
    CHECK(arguments.instance.socket == "/s");
  }
  CHECK(parsed({"config", "show", "--json"}).json);
}

TEST_CASE("rollback, logs, marks and cancel read their own words") {
  const Arguments rollback = parsed({"rollback", "--to", "before", "--configs=always"});
  CHECK(rollback.request.kind == JobKind::kRollback);
  CHECK(rollback.request.to == "before");
  CHECK(rollback.request.configs == ConfigPolicy::kAlways);
  const Arguments logs = parsed({"logs", "0", "-f", "--after", "17", "--level", "Warning"});
  CHECK(logs.job == 0);
  CHECK(logs.follow);
  CHECK(logs.after == 17);
  CHECK(logs.level == Tier::kWarning);
  CHECK(parsed({"pin", "1.2-abc"}).release == "1.2-abc");
  CHECK(parsed({"hold"}).release.empty());
  CHECK_FALSE(parsed({"cancel"}).job.has_value());
  CHECK(parsed({"cancel", "9"}).job == 9);
  CHECK(parsed({"check", "--deep"}).request.deep);
  CHECK(parsed({"config", "validate", "x.json"}).file == "x.json");
  CHECK(parsed({"status", "--verify"}).verify);
}

TEST_CASE("options that contradict each other are refused") {
  for (const auto& words :
       std::vector<std::vector<std::string>>{{"upgrade", "--quick", "--full"},
                                             {"upgrade", "--wait", "3", "--no-wait"},
                                             {"upgrade", "--worktree", "--to", "1.0"},
                                             {"upgrade", "--unattended", "--force"},
                                             {"upgrade", "--dry-run", "--detach"},
                                             {"--user", "status", "--system"},
                                             {"status", "-v", "-q"}}) {
    CAPTURE(words);
    CHECK(says(refusal(words), "exclude"));
  }
}

TEST_CASE("a misspelt word is named, with the one that was probably meant") {
  CHECK(says(refusal({"upgrade", "--forse"}), "unknown option --forse, did you mean --force?"));
  CHECK(says(refusal({"upgrade", "--usr"}), "did you mean --user?"));
  CHECK(says(refusal({"upgrad"}), "unknown command upgrad, did you mean upgrade?"));
  CHECK(says(refusal({"config", "shwo"}), "did you mean show?"));
  CHECK(says(refusal({"upgrade", "now"}), "unexpected word now"));
  CHECK(says(refusal({"status", "jobs"}), "jobs"));
  CHECK(says(refusal({"logs", "abc"}), "abc"));
  CHECK(says(refusal({"upgrade", "--forse"}), "see mcpctl upgrade --help"));
  CHECK(says(refusal({}), "a command is needed"));
  CHECK(says(refusal({"config"}), "show and validate"));
  CHECK(says(refusal({"pin"}), "RELEASE"));
  CHECK(says(refusal({"upgrade", "--wait"}), "--wait needs a value; see"));
  CHECK(says(refusal({"status", "--app"}), "--app needs a value; see"));
}

TEST_CASE("impossible values are refused") {
  for (const auto& words : std::vector<std::vector<std::string>>{{"upgrade", "--wait", "-1"},
                                                                 {"upgrade", "--wait", "soon"},
                                                                 {"upgrade", "--to", ""},
                                                                 {"upgrade", "--from="},
                                                                 {"rollback", "--configs=maybe"},
                                                                 {"logs", "--level", "loud"},
                                                                 {"status", "--color=pink"},
                                                                 {"cancel", "-3"},
                                                                 {"status", "--app"}}) {
    CAPTURE(words);
    CHECK(refusal(words) != "accepted");
  }
}

TEST_CASE("every command and every option is explained by its help") {
  const auto help = [](std::vector<std::string> words) { return parse_command_line(words).text; };
  for (const char* command : {"upgrade", "rollback", "status", "jobs", "logs", "watch", "releases",
                              "pin", "unpin", "hold", "unhold", "check", "cancel"}) {
    CAPTURE(command);
    CHECK(says(help({"--help"}), command));
    CHECK(says(help({command, "--help"}), std::string("mcpctl ") + command));
    CHECK(help({command, "--help"}) == help({"help", command}));
  }
  for (const char* option : {"--quick", "--full", "--force", "--from", "--to", "--worktree",
                             "--dry-run", "--wait", "--no-wait", "--detach", "--unattended"}) {
    CHECK(says(help({"upgrade", "-h"}), option));
  }
  CHECK(help({"help"}) == help({"-h"}));
  CHECK(says(help({"help", "config", "show"}), "config validate"));
  CHECK(says(refusal({"help", "nothing"}), "no help for nothing"));
  CHECK(help({"--version"}) == "mcpctl " MCPU_VERSION "\n");
  CHECK(help({"--version", "--json"}) == "{\"version\":\"" MCPU_VERSION "\"}\n");
  CHECK(says(help({"upgrade", "--json", "--help"}), "Usage"));
}

TEST_CASE("paths of a source become absolute, addresses stay") {
  const std::string here = std::filesystem::current_path().string();
  CHECK(absolute_source("tools/x/") == here + "/tools/x");
  CHECK(absolute_source(".") == here);
  CHECK(absolute_source("/a/../b") == "/b");
  CHECK(absolute_source("./odd:name") == here + "/odd:name");
  CHECK(absolute_source("https://example.org/x.git") == "https://example.org/x.git");
  CHECK(absolute_source("git@example.org:x/y.git") == "git@example.org:x/y.git");
  CHECK(absolute_source("file:///srv/x") == "file:///srv/x");
}

TEST_CASE("nothing is suggested for a word that is near to none") {
  CHECK(nearest("zebra", {"upgrade", "status"}).empty());
  CHECK(nearest("statsu", {"upgrade", "status"}) == "status");
}

}  // namespace mcpu::arguments_test
