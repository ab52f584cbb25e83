#include "daemon/file_system.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <thread>

#include "daemon/durable.hpp"
#include "daemon/unique_fd.hpp"
#include "proto/error.hpp"
#include "scratch_directory.hpp"

namespace mcpu::file_system_test {

using std::chrono::milliseconds;

namespace {

int errno_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.code() == Code::kIo);
    return error.sys();
  }
  return 0;
}

struct Fixture {
  ScratchDirectory scratch;
  std::unique_ptr<FileSystem> fs = make_posix_file_system();

  void put(const std::string& name, const std::string& content) {
    fs->create(scratch / name, 0600)->write_at(0, content);
  }
  std::string get(const std::string& name) { return read_file(*fs, scratch / name, 1'000'000); }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "what is not there is no error, what cannot be looked at is") {
  put("file", "");
  CHECK(!fs->info(scratch / "missing"));
  CHECK(!fs->info(scratch / "file/below"));
  fs->make_link("loop", scratch / "loop");
  CHECK(errno_of([&] { fs->info(scratch / "loop/below"); }) == ELOOP);
}

TEST_CASE_FIXTURE(Fixture, "nothing but a regular file is opened, and nothing blocks") {
  fs->make_directory(scratch / "directory", 0700);
  put("file", "content");
  fs->make_link("file", scratch / "link");
  REQUIRE(::mkfifo((scratch / "fifo").c_str(), 0600) == 0);
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (scratch / "socket").copy(address.sun_path, sizeof(address.sun_path) - 1);
  REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  for (const char* name : {"directory", "fifo", "socket"}) {
    CAPTURE(name);
    CHECK(errno_of([&] { fs->open(scratch / name); }) == EINVAL);
    CHECK(errno_of([&] { fs->open_output(scratch / name); }) == EINVAL);
    CHECK(errno_of([&] { fs->lock(scratch / name, LockKind::kRead, milliseconds(0)); }) == EINVAL);
  }
  CHECK(errno_of([&] { fs->open(scratch / "link"); }) == ELOOP);
  CHECK(errno_of([&] { fs->open_output(scratch / "link"); }) == ELOOP);
  CHECK(fs->info(scratch / "fifo")->type == FileType::kFifo);
  CHECK(fs->info(scratch / "socket")->type == FileType::kSocket);
  CHECK(fs->info("/dev/null")->type == FileType::kDevice);
}

TEST_CASE_FIXTURE(Fixture, "new files and directories get their exact mode, whatever the umask") {
  const mode_t before = ::umask(0077);
  fs->create(scratch / "file", 0664);
  fs->make_directory(scratch / "directory", 0775);
  ::umask(before);
  CHECK(fs->info(scratch / "file")->mode == 0664);
  CHECK(fs->info(scratch / "directory")->mode == 0775);
}

TEST_CASE_FIXTURE(Fixture, "a link is never changed through") {
  put("file", "content");
  fs->make_link("file", scratch / "link");
  const std::int64_t before = fs->info(scratch / "file")->mtime_ns;
  fs->set_times(scratch / "link", -1'500'000'000);
  fs->set_owner(scratch / "link", ::geteuid(), ::getegid());
  CHECK(errno_of([&] { fs->set_mode(scratch / "link", 0644); }) == EOPNOTSUPP);
  CHECK(fs->info(scratch / "link")->mtime_ns == -1'500'000'000);
  CHECK(fs->info(scratch / "file")->mtime_ns == before);
  CHECK(fs->info(scratch / "file")->mode == 0600);
}

TEST_CASE_FIXTURE(Fixture, "a rename that must not replace does not") {
  put("a", "a");
  put("b", "b");
  CHECK(errno_of([&] { fs->rename(scratch / "a", scratch / "b", IfExists::kFail); }) == EEXIST);
  fs->rename(scratch / "a", scratch / "c", IfExists::kFail);
  fs->rename(scratch / "c", scratch / "b");
  CHECK(get("b") == "a");
}

TEST_CASE_FIXTURE(Fixture, "a directory lists everything but itself and the one above, sorted") {
  for (const char* name : {"b", "a", ".hidden", "\xC4\xE3", "with space"}) put(name, "");
  CHECK(fs->list(scratch.path()) ==
        std::vector<std::string>{".hidden", "a", "b", "with space", "\xC4\xE3"});
  fs->make_link(".", scratch / "link");
  CHECK(errno_of([&] { fs->list(scratch / "link"); }) == ENOTDIR);
  CHECK(fs->list(scratch / "link/.").size() == 6);
}

TEST_CASE_FIXTURE(Fixture,
                  "many files and directories are synced, and one that is missing is named") {
  std::vector<std::string> paths{scratch.path()};
  for (int i = 0; i < 30; ++i) {
    put(std::to_string(i), std::string(10'000, 'x'));
    paths.push_back(scratch / std::to_string(i));
  }
  fs->sync_all(paths);
  fs->sync_all({});
  fs->sync_directory(scratch.path());
  paths.insert(paths.begin() + 15, scratch / "missing");
  CHECK_THROWS_WITH_AS(fs->sync_all(paths), doctest::Contains("missing: No such file"), Error);
}

TEST_CASE_FIXTURE(Fixture, "a reflink is a copy of its own, or nothing at all") {
  put("file", "content");
  for (int i = 0; i < 2; ++i) {
    if (fs->reflink(scratch / "file", scratch / "copy", 0640)) {
      CHECK(get("copy") == "content");
      CHECK(fs->info(scratch / "copy")->mode == 0640);
      fs->remove_file(scratch / "copy");
    }
    CHECK(!fs->info(scratch / "copy"));
  }
  CHECK(errno_of([&] { fs->reflink(scratch / "missing", scratch / "copy", 0600); }) == ENOENT);
}

TEST_CASE_FIXTURE(Fixture, "space and rights to write are those of the directory asked for") {
  CHECK(fs->space(scratch.path()).free_bytes > 0);
  CHECK(!fs->space(scratch.path()).read_only);
  CHECK(errno_of([&] { fs->space(scratch / "missing"); }) == ENOENT);
  CHECK(fs->writable(scratch.path()));
  CHECK(!fs->writable(scratch / "missing"));
  put("file", "");
  fs->set_mode(scratch / "file", 0777);
  CHECK(!fs->writable(scratch / "file"));
  CHECK(!fs->writable("/proc/self"));
}

TEST_CASE_FIXTURE(Fixture, "a write lock excludes all others, read locks share") {
  put("lock", "");
  const std::string path = scratch / "lock";
  auto writer = fs->lock(path, LockKind::kWrite, milliseconds(0));
  REQUIRE(writer != nullptr);
  CHECK(fs->lock(path, LockKind::kRead, milliseconds(0)) == nullptr);
  CHECK(fs->lock(path, LockKind::kWrite, milliseconds(5)) == nullptr);
  writer.reset();
  const auto reader = fs->lock(path, LockKind::kRead, milliseconds(0));
  CHECK(reader != nullptr);
  CHECK(fs->lock(path, LockKind::kRead, milliseconds(0)) != nullptr);
  CHECK(fs->lock(path, LockKind::kWrite, milliseconds(0)) == nullptr);
}

TEST_CASE_FIXTURE(Fixture, "a lock that is given up in time is got") {
  put("lock", "");
  auto held = fs->lock(scratch / "lock", LockKind::kWrite, milliseconds(0));
  std::jthread waiter([&] {
    CHECK(fs->lock(scratch / "lock", LockKind::kWrite, milliseconds(10'000)) != nullptr);
  });
  held.reset();
}

}  // namespace mcpu::file_system_test
