#include "daemon/journald.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>
#include <fstream>
#include <iterator>

#include "daemon/event_file.hpp"
#include "tests/built_programs.hpp"
#include "tests/client_fixture.hpp"
#include "tests/scratch_directory.hpp"

namespace mcpu::journald_test {

namespace {

/// What journald hears.
class Listener {
 public:
  Listener() : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path().c_str(), sizeof address.sun_path - 1);
    REQUIRE(bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  std::string path() const { return directory_ / "socket"; }
  std::string next() const {
    std::array<char, 4096> text{};
    const ssize_t size = recv(socket_.get(), text.data(), text.size(), 0);
    return size < 0 ? "" : std::string(text.data(), static_cast<std::size_t>(size));
  }

 private:
  ScratchDirectory directory_;
  UniqueFd socket_;
};

Event event(std::uint64_t number, const std::string& id, nlohmann::json fields) {
  return {42,         number, {},   Tier::kInfo, Phase::kResolve, id, std::move(fields),
          "the text", {},     false};
}

bool has(const std::string& entry, const std::string& line) {
  return ("\n" + entry).find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("every entry says job, phase, tier, application and release") {
  const Listener journal;
  JournalEntries entries(journal.path());
  entries.send(*make_stored(event(1, "job.started", {{"app", "mcp"}})));
  entries.send(*make_stored(event(2, "resolve.release", {{"release", "1.2-abc"}})));
  const std::string started = journal.next();
  CHECK(has(started, "MESSAGE=the text"));
  CHECK(has(started, "MESSAGE_ID=" + std::string(catalog_id("job.started"))));
  entries.send(*make_stored(event(3, "prune.removed", {{"release", "1.0-old"}})));
  journal.next();
  const std::string pruned = journal.next();
  for (const char* line :
       {"PRIORITY=6", "MCP_JOB=42", "MCP_NUMBER=3", "MCP_EVENT=prune.removed", "MCP_PHASE=resolve",
        "MCP_TIER=INFO", "MCP_APP=mcp", "MCP_RELEASE=1.2-abc", "SYSLOG_IDENTIFIER=mcp-upgraded"}) {
    CHECK_MESSAGE(has(pruned, line), line);
  }
}

TEST_CASE("the priority follows the tier") {
  const Listener journal;
  JournalEntries entries(journal.path());
  for (const auto& [tier, line] : {std::pair{Tier::kError, "PRIORITY=3"},
                                   {Tier::kWarning, "PRIORITY=4"},
                                   {Tier::kSuccess, "PRIORITY=5"},
                                   {Tier::kDebug, "PRIORITY=7"}}) {
    Event one = event(1, "changelog.line", {});
    one.tier = tier;
    entries.send(*make_stored(one));
    CHECK(has(journal.next(), line));
  }
}

TEST_CASE("several lines of text cannot pretend to be fields") {
  const Listener journal;
  JournalEntries entries(journal.path());
  Event one = event(1, "changelog.line", {});
  one.text = "first\nMCP_TIER=ERROR";
  entries.send(*make_stored(one));
  const std::string entry = journal.next();
  const std::string size("\x14\0\0\0\0\0\0\0", 8);
  CHECK(entry.starts_with("MESSAGE\n" + size + "first\nMCP_TIER=ERROR\nPRIORITY=6\n"));
}

TEST_CASE("what concerns one user is not told to all who read the journal") {
  const Listener journal;
  JournalEntries entries(journal.path());
  Event one = event(1, "check.output", {{"check", "demo"}, {"output", "secret"}});
  one.text = "output of demo: secret";
  one.concerns = 1000;
  entries.send(*make_stored(one));
  const std::string entry = journal.next();
  CHECK(has(entry, "MCP_EVENT=check.output"));
  CHECK(has(entry,
            "MESSAGE=details are shown to the user concerned and to root with 'mcpctl logs 42'"));
  CHECK(entry.find("secret") == entry.npos);
}

TEST_CASE("without a journal nothing happens") {
  const ScratchDirectory directory;
  JournalEntries entries(directory / "none");
  entries.send(*make_stored(event(1, "job.started", {})));
}

TEST_CASE("the catalog explains what has an identifier") {
  std::ifstream file(source_directory() + "/systemd/mcp-upgraded.catalog");
  const std::string catalog{std::istreambuf_iterator<char>(file), {}};
  for (const char* id :
       {"job.started", "job.finished", "undo.done", "recovery.undone", "job.needs_attention",
        "undo.pending", "recovery.needed", "release.denied"}) {
    const std::string identifier(catalog_id(id));
    CHECK(identifier.size() == 32);
    CHECK_MESSAGE(catalog.find("\n-- " + identifier + "\n") != catalog.npos, id);
  }
  CHECK(catalog_id("stage.done").empty());
}

}  // namespace mcpu::journald_test
