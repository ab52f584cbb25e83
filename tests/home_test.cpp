#include "daemon/home.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "built_programs.hpp"
#include "proto/error.hpp"
#include "scratch_directory.hpp"
#include "thread_processes.hpp"

namespace mcpu::home_test {

using nlohmann::json;
using std::chrono::milliseconds;
namespace stdfs = std::filesystem;

namespace {

const std::string kClaude = ".claude/settings.json";
const std::string kCodex = ".codex/config.toml";

/// A home of a user with real workers.
struct Fixture {
  Fixture() : processes(make_posix_processes(worker_directory())), who(own_identity()) {
    who.home = directory.path();
  }

  Home home() const {
    Home home(*processes, who, {{kClaude, "json", ""}, {kCodex, "toml", ""}});
    home.limit(std::chrono::steady_clock::now() + milliseconds(10'000), nullptr);
    return home;
  }
  std::string path(const std::string& name) const { return directory / name; }
  void write(const std::string& name, const std::string& content, mode_t mode = 0644) const {
    stdfs::create_directories(stdfs::path(path(name)).parent_path());
    std::ofstream(path(name), std::ios::binary) << content;
    ::chmod(path(name).c_str(), mode);
  }
  std::string read(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(path(name), std::ios::binary).rdbuf();
    return text.str();
  }
  mode_t mode(const std::string& name) const {
    struct stat status {};
    REQUIRE(::lstat(path(name).c_str(), &status) == 0);
    return status.st_mode & 07777;
  }
  FileState claude() const { return home().inspect().at(0); }
  /// Everything in the home but the file itself: what an operation may have left behind.
  std::size_t entries() const {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry :
         stdfs::recursive_directory_iterator(directory.path())) {
      ++count;
    }
    return count;
  }

  ScratchDirectory directory;
  std::unique_ptr<ProcessPort> processes;
  Identity who;
};

Error error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  FAIL("no error");
  return Error(Code::kInternal, "");
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the lock is taken once, and held until its holder is let go") {
  const Fixture fixture;
  auto held = fixture.home().lock(milliseconds(100));
  CHECK(held);
  CHECK(fixture.mode(".local") == 0700);
  CHECK(fixture.mode(".local/state") == 0700);
  CHECK(fixture.mode(".local/state/mcp-upgraded.lock") == 0600);
  const auto error = error_of([&] { fixture.home().lock(milliseconds(10)); });
  CHECK(error.code() == Code::kBusy);
  CHECK(contains(error.what(), "mcp-upgraded.lock"));
  held.reset();
  CHECK(fixture.home().lock(milliseconds(10)));
}

TEST_CASE("saved contents are exactly the files' bytes, and states say what is there") {
  const Fixture fixture;
  const std::string big(700'000, 'b');
  fixture.write(kClaude, big, 0600);
  std::map<std::string, std::string> contents;
  int last_pieces = 0;
  const auto states =
      fixture.home().save([&](const FileState& state, std::string_view piece, bool last) {
        contents[state.path].append(piece);
        last_pieces += last ? 1 : 0;
      });
  REQUIRE(states.size() == 2);
  CHECK(contents.at(kClaude) == big);
  CHECK(last_pieces == 1);
  CHECK(states[0].content == Sha256::of(big));
  CHECK(states[0].mode == 0600);
  CHECK(states[0].uid == ::geteuid());
  CHECK_FALSE(states[1].exists);
  CHECK(file_state_from_json(to_json(states[0])).content == states[0].content);
  CHECK(fixture.home().inspect()[0].same_content(states[0]));
}

TEST_CASE("an empty file is saved as one empty piece") {
  const Fixture fixture;
  fixture.write(kClaude, "");
  int pieces = 0;
  fixture.home().save([&](const FileState&, std::string_view piece, bool last) {
    CHECK(piece.empty());
    CHECK(last);
    ++pieces;
  });
  CHECK(pieces == 1);
}

TEST_CASE("what cannot be managed is a named problem and holds nobody up") {
  const Fixture fixture;
  stdfs::create_directories(fixture.path(".codex"));
  stdfs::create_directories(fixture.path(kClaude));
  REQUIRE(::mkfifo(fixture.path(kCodex).c_str(), 0600) == 0);
  const auto states =
      fixture.home().save([](const FileState&, std::string_view, bool) { FAIL(""); });
  CHECK(contains(states[0].problem, "is a directory"));
  CHECK(contains(states[1].problem, "is a FIFO"));
  stdfs::remove(fixture.path(kCodex));
  fixture.write(kCodex, "");
  stdfs::resize_file(fixture.path(kCodex), kMaxManagedFileBytes + 1);
  CHECK(contains(fixture.home().inspect()[1].problem, "larger than"));
}

TEST_CASE("a file of somebody else is named with the way to mend it" *
          doctest::skip(::geteuid() != 0)) {
  const Fixture fixture;
  fixture.write(kClaude, "{}");
  REQUIRE(::chown(fixture.path(kClaude).c_str(), 12345, 12345) == 0);
  const auto problem = fixture.claude().problem;
  CHECK(contains(problem, "belongs to uid 12345"));
  const std::string path = "'" + fixture.path(kClaude) + "'";
  CHECK(contains(problem, "cp " + path));
  // Whatever the file is by the time it is pasted: no right of somebody else's is given away.
  CHECK_FALSE(contains(problem, "chown"));
}

TEST_CASE("a home that is missing is an error that names it") {
  Fixture fixture;
  fixture.who.home = fixture.path("not mounted");
  const auto error = error_of([&] { fixture.home().inspect(); });
  CHECK(error.code() == Code::kIo);
  CHECK(contains(error.what(), "not mounted"));
}

TEST_CASE("syntax problems name file and line") {
  const Fixture fixture;
  fixture.write(kClaude, "{\n\"a\": oops}");
  fixture.write(kCodex, "a = 1\n");
  const auto problems = fixture.home().parse();
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].starts_with(kClaude + ": line 2: "));
}

TEST_CASE("a file is put back with its content and mode, and nothing is left beside it") {
  const Fixture fixture;
  fixture.write(kClaude, "old", 0640);
  const auto before = fixture.claude();
  const auto entries = fixture.entries();
  fixture.write(kClaude, "new", 0600);
  const auto after = fixture.claude();
  const auto result = fixture.home().restore(before, "old", after);
  CHECK(result.restored);
  CHECK(fixture.read(kClaude) == "old");
  CHECK(fixture.mode(kClaude) == 0640);
  CHECK(fixture.entries() == entries);
  CHECK(fixture.home().restore(before, "old", after).restored);
}

TEST_CASE("a file that did not exist is removed, one that is gone is made again") {
  const Fixture fixture;
  const auto absent = fixture.claude();
  fixture.write(kClaude, "new", 0600);
  const auto present = fixture.claude();
  CHECK(fixture.home().restore(absent, "", present).restored);
  CHECK_FALSE(stdfs::exists(fixture.path(kClaude)));
  stdfs::remove_all(fixture.path(".claude"));
  CHECK(fixture.home().restore(present, "new", absent).restored);
  CHECK(fixture.read(kClaude) == "new");
  CHECK(fixture.mode(".claude") == 0700);
}

TEST_CASE("an edit made since is never overwritten") {
  const Fixture fixture;
  fixture.write(kClaude, "old");
  const auto before = fixture.claude();
  fixture.write(kClaude, "new");
  const auto after = fixture.claude();
  fixture.write(kClaude, "mine");
  const auto result = fixture.home().restore(before, "old", after);
  CHECK_FALSE(result.restored);
  CHECK(contains(result.problem, "changed"));
  CHECK(fixture.read(kClaude) == "mine");
  CHECK(fixture.home().restore(before, "old", std::nullopt).restored);
  CHECK(fixture.read(kClaude) == "old");
}

TEST_CASE("a saved content that is damaged is not put back") {
  const Fixture fixture;
  fixture.write(kClaude, "old");
  const auto before = fixture.claude();
  fixture.write(kClaude, "new");
  CHECK(error_of([&] { fixture.home().restore(before, "odd", std::nullopt); }).code() ==
        Code::kCorrupt);
  CHECK(fixture.read(kClaude) == "new");
}

TEST_CASE("a link stays a link and its target gets the content") {
  const Fixture fixture;
  fixture.write("dotfiles/claude.json", "old");
  stdfs::create_directories(fixture.path(".claude"));
  stdfs::create_symlink("../dotfiles/claude.json", fixture.path(kClaude));
  const auto before = fixture.claude();
  CHECK(before.link == "../dotfiles/claude.json");
  fixture.write("dotfiles/claude.json", "new");
  CHECK(fixture.home().restore(before, "old", fixture.claude()).restored);
  CHECK(stdfs::is_symlink(fixture.path(kClaude)));
  CHECK(fixture.read("dotfiles/claude.json") == "old");
}

TEST_CASE("a link that was replaced by a file is a link again") {
  const Fixture fixture;
  fixture.write("dotfiles/claude.json", "old");
  stdfs::create_directories(fixture.path(".claude"));
  stdfs::create_symlink("../dotfiles/claude.json", fixture.path(kClaude));
  const auto before = fixture.claude();
  stdfs::remove(fixture.path(kClaude));
  fixture.write(kClaude, "new");
  CHECK(fixture.home().restore(before, "old", fixture.claude()).restored);
  CHECK(stdfs::is_symlink(fixture.path(kClaude)));
  CHECK(fixture.read(kClaude) == "old");
}

TEST_CASE("what a new link points to is never written or removed through it") {
  const Fixture fixture;
  fixture.write("precious", "precious");
  fixture.write(kClaude, "old");
  const auto before = fixture.claude();
  stdfs::remove(fixture.path(kClaude));
  const auto absent = fixture.claude();
  stdfs::create_symlink("../precious", fixture.path(kClaude));
  CHECK(fixture.home().restore(before, "old", fixture.claude()).restored);
  CHECK(fixture.read(kClaude) == "old");
  CHECK_FALSE(stdfs::is_symlink(fixture.path(kClaude)));
  stdfs::remove(fixture.path(kClaude));
  stdfs::create_symlink("../precious", fixture.path(kClaude));
  CHECK(fixture.home().restore(absent, "", fixture.claude()).restored);
  CHECK_FALSE(stdfs::is_symlink(fixture.path(kClaude)));
  CHECK(fixture.read("precious") == "precious");
}

TEST_CASE("links in a circle are a problem, not a hang") {
  const Fixture fixture;
  stdfs::create_directories(fixture.path(".claude"));
  stdfs::create_symlink("settings.json", fixture.path(kClaude));
  CHECK_FALSE(fixture.claude().problem.empty());
}

TEST_CASE("temporary files of a crash are removed, others are not") {
  const Fixture fixture;
  fixture.write(kClaude, "{}");
  fixture.write(".claude/.settings.json.mcp-upgraded.tmp", "half");
  fixture.write(".claude/.settings.json.tmp", "somebody's");
  fixture.home().clean();
  CHECK_FALSE(stdfs::exists(fixture.path(".claude/.settings.json.mcp-upgraded.tmp")));
  CHECK(stdfs::exists(fixture.path(".claude/.settings.json.tmp")));
  CHECK(fixture.read(kClaude) == "{}");
}

TEST_CASE("a scratch home holds copies with the same modes") {
  const Fixture fixture;
  fixture.write(kClaude, "{}", 0664);
  const auto scratch = fixture.path("scratch");
  stdfs::create_directory(scratch);
  fixture.home().fill_scratch(scratch);
  fixture.home().fill_scratch(scratch);
  CHECK(fixture.read("scratch/" + kClaude) == "{}");
  CHECK(fixture.mode("scratch/" + kClaude) == 0664);
  CHECK(fixture.mode("scratch/.claude") == 0700);
}

namespace {

/// A home whose worker says what the test wants, after it has read the request.
struct LyingWorker {
  explicit LyingWorker(std::function<void(WorkerLink&)> script) {
    processes.run(WorkerKind::kConfig,
                  [script = std::move(script)](WorkerLink& link, const Identity&) {
                    link.receive();
                    script(link);
                  });
  }
  Home home() {
    Home home(processes, own_identity(), {{kClaude, "json", ""}});
    home.limit(std::chrono::steady_clock::now() + milliseconds(200), nullptr);
    return home;
  }
  ThreadProcesses processes;
};

FileState state_of(const std::string& content) {
  FileState state;
  state.path = kClaude;
  state.exists = true;
  state.size_bytes = content.size();
  state.content = Sha256::of(content);
  return state;
}

Code saving_from(const std::function<void(WorkerLink&)>& script) {
  LyingWorker worker(script);
  return error_of([&] {
           worker.home().save([](const FileState&, std::string_view, bool last) {
             CHECK_FALSE(last);  // nothing false is ever completed
           });
         })
      .code();
}

}  // namespace

TEST_CASE("contents that are not what was announced are refused") {
  CHECK(saving_from([](WorkerLink& link) {
          link.send({{"state", to_json(state_of("abc"))}});
          link.send_bytes("abd");
        }) == Code::kWorker);
  CHECK(saving_from([](WorkerLink& link) {
          link.send({{"state", to_json(state_of("abc"))}});
          link.send_bytes("abcd");
        }) == Code::kWorker);
  CHECK(saving_from([](WorkerLink& link) {
          link.send({{"state", to_json(state_of("abc"))}});
          link.send_bytes("");
        }) == Code::kWorker);
  CHECK(saving_from([](WorkerLink& link) {
          link.send({{"state", to_json(state_of("abc"))}});
          link.send_bytes("ab");
        }) == Code::kWorker);
}

TEST_CASE("states nobody asked for and impossible ones are refused") {
  const auto saying = [](const json& message) {
    return saving_from([message](WorkerLink& link) { link.send(message); });
  };
  auto other = state_of("abc");
  other.path = "../../etc/shadow";
  CHECK(saying({{"state", to_json(other)}}) == Code::kWorker);
  auto huge = state_of("abc");
  huge.size_bytes = kMaxManagedFileBytes + 1;
  CHECK(saying({{"state", to_json(huge)}}) == Code::kWorker);
  auto strange = to_json(state_of("abc"));
  strange["content"] = "zz";
  CHECK(saying({{"state", strange}}) == Code::kWorker);
  strange = to_json(state_of("abc"));
  strange["mode"] = 1 << 20;
  CHECK(saying({{"state", strange}}) == Code::kWorker);
  CHECK(saying({{"state", 7}}) == Code::kWorker);
  CHECK(saying(json::object()) == Code::kWorker);
}

TEST_CASE("a worker that says nothing ends at the deadline, one that dies at once") {
  CHECK(saving_from([](WorkerLink& link) { link.receive(); }) == Code::kTimeout);
  CHECK(saving_from([](WorkerLink&) {}) == Code::kWorker);
}

TEST_CASE("a worker that sends without end ends at the deadline") {
  CHECK(saving_from([](WorkerLink& link) {
          auto state = state_of("");
          state.size_bytes = kMaxManagedFileBytes;
          link.send({{"state", to_json(state)}});
          for (;;) link.send_bytes("x");
        }) == Code::kTimeout);
}

TEST_CASE("a worker cannot flood a list of problems") {
  LyingWorker worker([](WorkerLink& link) {
    link.send({{"problems", json::array({"one", "two"})}});
  });
  CHECK(error_of([&] { worker.home().parse(); }).code() == Code::kWorker);
}

}  // namespace mcpu::home_test
