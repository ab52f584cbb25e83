#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/client_fixture.hpp"
#include "tests/scratch_directory.hpp"

namespace mcpu::launch_test {

using namespace mcpu::test;

namespace {

using namespace std::string_literals;

/// A state directory with releases of an application "demo" and a launcher for its command "tool".
struct Installed {
  ScratchDirectory directory;
  std::string state = directory / "state";
  std::string entry = state + "/launch/demo/tool";

  Installed() {
    std::filesystem::create_directories(state + "/launch/demo");
    std::filesystem::copy_file(built("client/mcp-launch"), entry);
  }

  std::string release(const std::string& id) const { return state + "/apps/demo/releases/" + id; }

  /// A release whose program is a shell script.
  void add(const std::string& id, const std::string& script, const std::string& variables = "") {
    write_file(release(id) + "/tree/bin/run", script, 0755);
    write_file(release(id) + "/tree/part", id + "\n");
    write_file(release(id) + "/exec/tool", "bin/run\0"s + variables);
    write_file(release(id) + "/in-use", "");
  }

  void switch_to(const std::string& id) const {
    const std::string link = state + "/apps/demo/current";
    std::filesystem::create_symlink("releases/" + id, link + ".new");
    std::filesystem::rename(link + ".new", link);
  }
};

/// Tries to take a lock on a release's in-use file as pruning does; the lock ends with the result.
struct WriteLock {
  explicit WriteLock(const std::string& file) : fd(::open(file.c_str(), O_RDWR | O_CLOEXEC)) {
    struct flock lock = {};
    lock.l_type = F_WRLCK;
    held = ::fcntl(fd, F_OFD_SETLK, &lock) == 0;
  }
  ~WriteLock() { ::close(fd); }
  int fd;
  bool held = false;
};

}  // namespace

TEST_CASE("the launcher passes arguments, environment and exit code of the current release") {
  Installed demo;
  demo.add("1", "#!/bin/sh\nprintf '%s|' \"$0\" \"$@\" \"$KEEP\" \"$SET\" \"$TWO\"; exit 7\n",
           "SET=by the release\0TWO=2\0"s);
  demo.switch_to("1");
  const std::vector<std::string> environment = {"KEEP=kept", "SET=by the caller"};
  const Finished ran = run({demo.entry, "a b", "", "ü"}, &environment);
  CHECK(ran.status == 7);
  CHECK(ran.out == demo.release("1") + "/tree/bin/run|a b||ü|kept|by the release|2|");
  CHECK(ran.err.empty());
}

TEST_CASE("the launcher finds its release through links and whatever argv[0] says") {
  Installed demo;
  demo.add("1", "#!/bin/sh\necho found\n");
  demo.switch_to("1");
  const std::string link = demo.directory / "other name";
  std::filesystem::create_symlink(demo.entry, link);
  CHECK(run({link}).out == "found\n");
  CHECK(run({"/bin/bash", "-c", "exec -a nonsense '" + link + "'"}).out == "found\n");
}

TEST_CASE("nothing installed, a damaged link and a misplaced launcher are named with what to do") {
  Installed demo;
  Finished ran = run({demo.entry});
  CHECK(ran.status == 127);
  CHECK(ran.err.find("tool: no release is installed: " + demo.state) == 0);
  CHECK(ran.err.find("mcpctl status") != std::string::npos);

  std::filesystem::create_directories(demo.state + "/apps/demo");
  std::filesystem::create_symlink("../../../etc", demo.state + "/apps/demo/current");
  ran = run({demo.entry});
  CHECK(ran.status == 126);
  CHECK(ran.err.find("does not name a release") != std::string::npos);

  const std::string stray = demo.directory / "stray";
  std::filesystem::copy_file(demo.entry, stray);
  ran = run({stray});
  CHECK(ran.status == 126);
  CHECK(ran.err.find("not as " + stray) != std::string::npos);
}

TEST_CASE("a release without its program or interpreter is 127, one that may not run is 126") {
  Installed demo;
  demo.add("1", "#!/bin/sh\n");
  demo.switch_to("1");
  const std::string program = demo.release("1") + "/tree/bin/run";
  ::chmod(program.c_str(), 0644);
  Finished ran = run({demo.entry});
  CHECK(ran.status == 126);
  CHECK(ran.err.find("cannot execute " + program) != std::string::npos);
  write_file(program, "#!/no/such/interpreter\n", 0755);
  ran = run({demo.entry});
  CHECK(ran.status == 127);
  CHECK(ran.err.find("interpreter") != std::string::npos);
  std::filesystem::remove(program);
  CHECK(run({demo.entry}).status == 127);
  write_file(demo.release("1") + "/exec/tool", "bin/run");  // not ended by NUL
  ran = run({demo.entry});
  CHECK(ran.status == 126);
  CHECK(ran.err.find("is damaged") != std::string::npos);
}

TEST_CASE("a path that is too long is refused, not cut") {
  Installed demo;
  demo.add("1", "#!/bin/sh\n");
  write_file(demo.release("1") + "/exec/tool", std::string(5000, 'x') + '\0');
  demo.switch_to("1");
  const Finished ran = run({demo.entry});
  CHECK(ran.status == 126);
  CHECK(ran.err.find("too long") != std::string::npos);
}

TEST_CASE("a running release is locked until its last process ends, and not longer") {
  Installed demo;
  const std::string ready = demo.directory / "ready", go = demo.directory / "go";
  REQUIRE(::mkfifo(ready.c_str(), 0600) == 0);
  REQUIRE(::mkfifo(go.c_str(), 0600) == 0);
  demo.add("1", "#!/bin/sh\nexec 3>'" + ready + "'; echo >&3; read x <'" + go + "'\n");
  demo.switch_to("1");
  std::thread process([&] { run({demo.entry}); });
  {
    std::ifstream wait(ready);
    std::string line;
    std::getline(wait, line);
  }
  CHECK_FALSE(WriteLock(demo.release("1") + "/in-use").held);
  { std::ofstream(go) << "\n"; }
  process.join();
  CHECK(WriteLock(demo.release("1") + "/in-use").held);
}

TEST_CASE("standard input closed by the caller does not become the lock") {
  Installed demo;
  demo.add("1", "#!/bin/sh\n[ -e /proc/self/fd/0 ] && echo open || echo closed\n");
  demo.switch_to("1");
  CHECK(run({"/bin/sh", "-c", "exec '" + demo.entry + "' <&-"}).out == "closed\n");
}

TEST_CASE("a lock held against it, or no lock file, never keeps the command from running") {
  Installed demo;
  demo.add("1", "#!/bin/sh\necho ran\n");
  demo.switch_to("1");
  {
    WriteLock pruning(demo.release("1") + "/in-use");
    REQUIRE(pruning.held);
    CHECK(run({demo.entry}).out == "ran\n");
  }
  std::filesystem::remove(demo.release("1") + "/in-use");
  CHECK(run({demo.entry}).out == "ran\n");
}

TEST_CASE("started in a loop during switches, the command is never missing and never mixed") {
  Installed demo;
  const std::string script =
      "#!/bin/sh\nd=${0%/bin/run}; i=0\nread a <$d/part; read b <$d/part; echo \"$1$a$b\"\n";
  for (const auto* id : {"1", "2"}) demo.add(id, script);
  demo.switch_to("1");
  std::atomic<bool> done = false;
  std::atomic<int> switches = 0;
  std::thread switching([&] {
    while (!done) demo.switch_to(++switches % 2 == 0 ? "1" : "2");
  });
  int first = 0, second = 0, wrong = 0;
  for (int i = 0; i < 200; ++i) {
    const Finished ran = run({demo.entry, "v"});
    if (ran.status == 0 && ran.out == "v11\n")
      ++first;
    else if (ran.status == 0 && ran.out == "v22\n")
      ++second;
    else
      ++wrong;
  }
  done = true;
  switching.join();
  CHECK(wrong == 0);
  CHECK(first > 0);
  CHECK(second > 0);
  CHECK(switches > 200);
}

}  // namespace mcpu::launch_test
