#include "tests/memory_file_system.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <random>
#include <set>

#include "daemon/durable.hpp"
#include "proto/error.hpp"
#include "scratch_directory.hpp"

namespace mcpu::memory_file_system_test {

namespace {

/// Everything below a directory as text: type, mode, links, content or target.
void describe(FileSystem& fs, const std::string& path, std::string& text) {
  const FileInfo info = *fs.info(path);
  text += path + " " + std::to_string(static_cast<int>(info.type));
  if (info.type != FileType::kLink) text += " " + std::to_string(info.mode);
  if (info.type == FileType::kFile) {
    text += " " + std::to_string(info.links) + " " + read_file(fs, path, 1'000'000);
  }
  if (info.type == FileType::kLink) text += " " + fs.read_link(path);
  text += '\n';
  if (info.type != FileType::kDirectory) return;
  for (const std::string& name : fs.list(path)) describe(fs, path + "/" + name, text);
}

std::string describe(FileSystem& fs, const std::string& path) {
  std::string text;
  describe(fs, path, text);
  return text;
}

std::string read(FileSystem& fs, const std::string& path) { return read_file(fs, path, 1'000'000); }

/// A call sequence that depends on the seed alone, made on any file system.
class RandomCalls {
 public:
  RandomCalls(FileSystem& fs, std::string root, unsigned seed)
      : fs_(fs), root_(std::move(root)), random_(seed) {}

  /// Makes one call; what it gave, as text.
  std::string next() {
    try {
      return call(pick(18));
    } catch (const Error& error) {
      return "errno " + std::to_string(error.sys());
    }
  }

 private:
  unsigned pick(unsigned below) { return static_cast<unsigned>(random_()) % below; }

  std::string relative() {
    static constexpr std::array kNames{"a", "b", "c", "d"};
    std::string path = kNames[pick(4)];
    while (pick(5) < 2) path += std::string("/") + kNames[pick(4)];
    return path;
  }

  std::string path() {
    const std::string tail = pick(30) == 0 ? "/." : "";
    return root_ + "/" + relative() + tail;
  }

  std::string plain_path() { return root_ + "/" + relative(); }

  /// Never "..": no call may leave the root.
  std::string target() {
    if (pick(8) == 0) return ".";
    return pick(3) == 0 ? plain_path() : relative();
  }

  std::string call(unsigned kind) {
    switch (kind) {
      case 0: {
        const auto info = fs_.info(path());
        return info ? std::to_string(static_cast<int>(info->type)) : "nothing";
      }
      case 1:
        return joined(fs_.list(path()));
      case 2:
        return fs_.read_link(path());
      case 3:
        return read(fs_, path());
      case 4:
        return std::to_string(fs_.writable(plain_path()));
      case 5:
        return keep(fs_.create(plain_path(), 0600 + pick(64)));
      case 6:
        return keep(fs_.open_output(path()));
      case 7:
      case 8:
        return fs_.make_directory(plain_path(), 0700 + pick(64)), "done";
      case 9:
        return make_link();
      case 10:
        return two_paths([this](auto& a, auto& b) { fs_.hard_link(a, b); });
      case 11:
      case 12:
        return two_paths([this](auto& a, auto& b) { fs_.rename(a, b); });
      case 13:
        return two_paths([this](auto& a, auto& b) { fs_.rename(a, b, IfExists::kFail); });
      case 14:
        return fs_.remove_file(plain_path()), "done";
      case 15:
        return fs_.remove_directory(plain_path()), "done";
      case 16:
        return pick(2) == 0 ? sync() : attributes();
      default:
        return write();
    }
  }

  static std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += name + " ";
    return text;
  }

  std::string keep(std::unique_ptr<OutputFile> file) {
    files_[pick(3)] = std::move(file);
    return "open";
  }

  std::string make_link() {
    const std::string to = target();
    fs_.make_link(to, plain_path());
    return "done";
  }

  template <typename Call>
  std::string two_paths(Call call) {
    const std::string first = plain_path();
    const std::string second = plain_path();
    call(first, second);
    return "done";
  }

  std::string sync() {
    const std::string at = path();
    if (pick(2) == 0) {
      fs_.sync_directory(at);
    } else {
      fs_.sync_all(std::array{at});
    }
    return "done";
  }

  std::string attributes() {
    const std::string at = path();
    fs_.set_times(at, 1'000'000'007);
    fs_.set_owner(at, ::geteuid(), ::getegid());
    const bool kept = fs_.info(at)->mtime_ns == 1'000'000'007;
    fs_.set_mode(at, 0700 + pick(64));
    return std::to_string(kept);
  }

  std::string write() {
    const auto& file = files_[pick(3)];
    if (!file) return "none open";
    const unsigned offset = pick(20);
    if (pick(4) == 0) {
      file->truncate(offset);
    } else {
      file->write_at(offset, std::string(pick(10), static_cast<char>('a' + pick(26))));
    }
    if (pick(20) == 0) file->sync();
    return "written";
  }

  FileSystem& fs_;
  const std::string root_;
  std::mt19937 random_;
  std::array<std::unique_ptr<OutputFile>, 3> files_;
};

}  // namespace

TEST_CASE("the same calls have the same results in memory and on the real file system") {
  const auto real = make_posix_file_system();
  for (const unsigned seed : {1U, 2U, 3U}) {
    const ScratchDirectory scratch;
    MemoryFileSystem memory;
    make_directories(memory, scratch.path(), 0700);
    RandomCalls real_calls(*real, scratch.path(), seed);
    RandomCalls memory_calls(memory, scratch.path(), seed);
    for (int i = 0; i < 1200; ++i) {
      CAPTURE(seed);
      CAPTURE(i);
      REQUIRE(memory_calls.next() == real_calls.next());
      if (i % 50 == 0) {
        REQUIRE(describe(memory, scratch.path()) == describe(*real, scratch.path()));
      }
    }
  }
}

TEST_CASE("a power cut takes what was not synced") {
  MemoryFileSystem fs;
  write_durably(fs, "/kept", "kept", 0600);
  fs.open_output("/kept")->write_at(4, " and lost");
  fs.create("/lost", 0600)->sync();
  fs.make_directory("/directory", 0700);
  fs.sync_directory("/");
  fs.make_directory("/directory/below", 0700);
  fs.set_mode("/directory", 0755);
  fs.restart(Loss::kUnsynced);
  CHECK(read(fs, "/kept") == "kept");
  CHECK(read(fs, "/lost").empty());
  CHECK(fs.list("/directory").empty());
  CHECK(fs.info("/directory")->mode == 0700);
}

TEST_CASE("a name that was synced without its content is an empty file") {
  MemoryFileSystem fs;
  fs.create("/file", 0600)->write_at(0, "content");
  fs.sync_directory("/");
  fs.restart(Loss::kUnsynced);
  CHECK(read(fs, "/file").empty());
}

TEST_CASE("a kill takes nothing, a power cut after it what was never synced") {
  MemoryFileSystem fs;
  fs.create("/file", 0600)->write_at(0, "content");
  fs.restart(Loss::kNothing);
  CHECK(read(fs, "/file") == "content");
  fs.restart(Loss::kUnsynced);
  CHECK(!fs.info("/file"));
}

TEST_CASE("a rename is undone by a power cut before the directory is synced, and whole after it") {
  MemoryFileSystem fs;
  for (const char* directory : {"/a", "/b"}) make_directories(fs, directory, 0700);
  write_durably(fs, "/a/file", "new", 0600);
  write_durably(fs, "/b/file", "old", 0600);
  SUBCASE("neither directory synced") {
    fs.rename("/a/file", "/b/file");
    fs.restart(Loss::kUnsynced);
    CHECK(read(fs, "/a/file") == "new");
    CHECK(read(fs, "/b/file") == "old");
  }
  SUBCASE("one directory synced, after a second rename") {
    fs.rename("/a/file", "/a/other");
    fs.rename("/a/other", "/b/file");
    SUBCASE("the old one") { fs.sync_directory("/a"); }
    SUBCASE("the new one") { fs.sync_directory("/b"); }
    fs.restart(Loss::kUnsynced);
    CHECK(fs.list("/a").empty());
    CHECK(read(fs, "/b/file") == "new");
    CHECK(fs.info("/b/file")->links == 1);
  }
}

TEST_CASE("a power cut that left some of it is between nothing and everything, never beyond") {
  std::set<std::string> found;
  for (std::uint32_t seed = 0; seed < 64; ++seed) {
    MemoryFileSystem fs;
    write_durably(fs, "/safe", "safe", 0600);
    write_durably(fs, "/file", "old", 0600);
    {
      const auto file = fs.create("/new", 0600);
      file->write_at(0, "new");
    }
    fs.rename("/new", "/file");
    fs.remove_file("/safe");
    write_durably(fs, "/safe", "safe again", 0600);
    fs.restart(Loss::kSome, seed);
    CHECK(read(fs, "/safe") == "safe again");  // synced, with the directory and what it names
    found.insert(read(fs, "/file"));
  }
  CHECK(found.size() > 3);  // the content was not synced: "", "n", "ne", "new", zeros ...
  CHECK(found.contains("new"));
  CHECK_FALSE(found.contains("old"));
}

TEST_CASE("renames that a power cut left one by one are each whole") {
  std::set<std::string> found;
  for (std::uint32_t seed = 0; seed < 64; ++seed) {
    MemoryFileSystem fs;
    for (const char* path : {"/a", "/b"}) write_durably(fs, path, path, 0600);
    for (const char* path : {"/c", "/d"}) make_directories(fs, path, 0700);
    fs.rename("/a", "/c/a");
    fs.rename("/b", "/d/b");
    fs.rename("/d/b", "/c/a");
    fs.restart(Loss::kSome, seed);
    std::string names;
    for (const char* path : {"/a", "/b", "/c/a", "/d/b"}) {
      if (fs.info(path)) names += std::string(path) + "=" + read(fs, path) + " ";
    }
    found.insert(names);
  }
  for (const std::string& names : found) CAPTURE(names);
  for (const char* whole : {"/a=/a /b=/b ", "/b=/b /c/a=/a ", "/c/a=/b "}) {
    CHECK(found.contains(whole));
    found.erase(whole);
  }
  found.erase("/a=/a /d/b=/b ");
  found.erase("/c/a=/a /d/b=/b ");
  CHECK(found.empty());
}

TEST_CASE("a file removed and not synced is back after a power cut") {
  MemoryFileSystem fs;
  write_durably(fs, "/file", "content", 0600);
  fs.remove_file("/file");
  fs.restart(Loss::kUnsynced);
  CHECK(read(fs, "/file") == "content");
}

TEST_CASE("a fault hits the call it is set for, and a write halfway") {
  MemoryFileSystem fs;
  const auto file = fs.create("/file", 0600);
  fs.restart(Loss::kNothing);
  const auto again = fs.open_output("/file");
  fs.fail_at(2, ENOSPC);
  CHECK_THROWS_WITH_AS(again->write_at(0, "abcd"), doctest::Contains("No space left"), Error);
  CHECK(read(fs, "/file") == "ab");
  again->write_at(0, "abcd");
  CHECK(fs.trace() ==
        std::vector<std::string>{"open for writing /file", "write /file", "write /file"});
  CHECK_THROWS_AS(file->sync(), SimulatedCrash);  // of a process that is dead
}

TEST_CASE("after a failed sync the content is never durable") {
  MemoryFileSystem fs;
  const auto file = fs.create("/file", 0600);
  fs.sync_directory("/");
  file->write_at(0, "content");
  fs.fail_at(4, EIO);
  CHECK_THROWS_AS(file->sync(), Error);
  file->sync();
  fs.restart(Loss::kUnsynced);
  CHECK(read(fs, "/file").empty());
}

TEST_CASE("a crash stops every later change until the restart") {
  MemoryFileSystem fs;
  fs.crash_at(2);
  fs.make_directory("/a", 0700);
  CHECK_THROWS_AS(fs.make_directory("/b", 0700), SimulatedCrash);
  CHECK_THROWS_AS(fs.sync_directory("/"), SimulatedCrash);
  CHECK(fs.list("/") == std::vector<std::string>{"a"});
  fs.restart(Loss::kNothing);
  fs.make_directory("/b", 0700);
  CHECK(fs.changing_calls() == 1);
}

TEST_CASE("a durable write leaves the old or the new content wherever it is stopped") {
  for (const Loss loss : {Loss::kNothing, Loss::kUnsynced}) {
    bool finished = false;
    for (std::uint64_t call = 1; !finished; ++call) {
      MemoryFileSystem fs;
      write_durably(fs, "/file", "old", 0600);
      fs.restart(loss);
      fs.crash_at(call);
      try {
        write_durably(fs, "/file", "new", 0600);
        finished = true;
      } catch (const SimulatedCrash&) {
        // The state it left is what counts.
      }
      fs.restart(loss);
      const std::string content = read(fs, "/file");
      CHECK((content == "new" || (content == "old" && !finished)));
      write_durably(fs, "/file", "next", 0600);
      CHECK(fs.list("/") == std::vector<std::string>{"file"});
    }
  }
}

TEST_CASE("locks in memory exclude as real ones do, and die with their process") {
  MemoryFileSystem fs;
  fs.create("/lock", 0600);
  const std::chrono::milliseconds now{0};
  const auto reader = fs.lock("/lock", LockKind::kRead, now);
  CHECK(fs.lock("/lock", LockKind::kRead, now) != nullptr);
  CHECK(fs.lock("/lock", LockKind::kWrite, now) == nullptr);
  fs.restart(Loss::kNothing);
  auto writer = fs.lock("/lock", LockKind::kWrite, now);
  CHECK(writer != nullptr);
  CHECK(fs.lock("/lock", LockKind::kRead, now) == nullptr);
  writer.reset();
  CHECK(fs.lock("/lock", LockKind::kRead, now) != nullptr);
}

}  // namespace mcpu::memory_file_system_test
