#include "client/daemon_access.hpp"

#include <doctest/doctest.h>

#include "proto/error.hpp"
#include "tests/client_fixture.hpp"
#include "tests/environment_fixture.hpp"
#include "tests/scratch_directory.hpp"
#include "tests/scripted_daemon.hpp"

namespace mcpu::daemon_access_test {

using namespace mcpu::test;

namespace {

/// Waits until a started program has ended: it was given nothing to wait for.
void wait_for_end(const StartedDaemon& daemon) {
  while (!daemon.ended()) ::usleep(1000);
}

InstanceChoice private_choice(const ScratchDirectory& directory, bool system) {
  InstanceOptions options;
  options.system = system;
  options.state_directory = directory / "state";
  return choose_instance(options);
}

}  // namespace

TEST_CASE("a started daemon is detached: own session, cwd /, no descriptors, a built environment") {
  ScratchDirectory directory;
  const Variables variables(Values{{"SECRET_OF_THE_SHELL", "x"}, {"TZ", "Asia/Shanghai"}});
  const int leaked = ::open("/dev/null", O_RDONLY);  // without CLOEXEC, as a caller may leave it
  const StartedDaemon daemon(
      {"/bin/sh", "-c",
       "exec >&2; pwd; echo \"$TZ,$SECRET_OF_THE_SHELL\"; "
       "for n in 3 4 5 6 7 8 9 10 11 12 13; do [ ! -e /proc/$$/fd/$n ] || echo $n; done; "
       "read p c s pp g session rest </proc/$$/stat; "
       "[ $session = $g ] && [ $session != $$ ] && echo session"});
  wait_for_end(daemon);
  ::close(leaked);
  CHECK(daemon.complaint() == "/\nAsia/Shanghai,\nsession\n");
}

TEST_CASE("what a daemon says before it is ready is kept, and bounded") {
  const StartedDaemon daemon(
      {"/bin/sh", "-c", "while printf 'complaint %1000d\\n' 1 >&2 2>/dev/null; do :; done"});
  wait_for_end(daemon);
  CHECK(daemon.complaint().size() <= 64 * 1024);
  const StartedDaemon other({"/bin/sh", "-c", "echo 'config.json:3: no such key' >&2; exit 2"});
  wait_for_end(other);
  CHECK(other.complaint() == "config.json:3: no such key\n");
}

TEST_CASE("a program that cannot be executed is named") {
  try {
    StartedDaemon daemon({"/no/such/program"});
    FAIL("started");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kNoDaemon);
    CHECK(std::string(error.what()).find("/no/such/program") != std::string::npos);
  }
}

TEST_CASE("the lock file leads to a daemon that listens elsewhere") {
  ScratchDirectory directory;
  Interrupts interrupts;
  const InstanceChoice choice = private_choice(directory, true);
  const std::string elsewhere = directory / "elsewhere";
  write_file(directory / "state/lock", "{\"pid\": 1, \"socket\": \"" + elsewhere + "\"}\n");
  ScriptedDaemon daemon(elsewhere, {[](ScriptedPeer& peer) {
                          peer.call();
                          peer.reply({{"here", true}});
                        }});
  DaemonAccess access(choice, interrupts, [](const std::string&) {});
  CHECK(access.call("Status", nlohmann::json::object()).at("here") == true);
}

TEST_CASE("a socket that was named is not exchanged for the one in the lock file") {
  ScratchDirectory directory;
  Interrupts interrupts;
  InstanceOptions options;
  options.system = true;
  options.state_directory = directory / "state";
  options.socket = directory / "named";
  const std::string elsewhere = directory / "elsewhere";
  write_file(directory / "state/lock", "{\"pid\": 1, \"socket\": \"" + elsewhere + "\"}\n");
  ScriptedDaemon daemon(elsewhere, {[](ScriptedPeer&) {}});
  DaemonAccess access(choose_instance(options), interrupts, [](const std::string&) {});
  try {
    access.open();
    FAIL("connected");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kUsage);
    CHECK(std::string(error.what()).find(elsewhere + ", not " + options.socket) !=
          std::string::npos);
  }
}

TEST_CASE("a system instance is never started, and the way on is named") {
  ScratchDirectory directory;
  Interrupts interrupts;
  write_file(directory / "state/lock", "no JSON at all");
  DaemonAccess access(private_choice(directory, true), interrupts, [](const std::string&) {});
  try {
    access.open();
    FAIL("connected");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kNoDaemon);
    CHECK(std::string(error.what()).find("systemctl status mcp-upgraded") != std::string::npos);
  }
}

TEST_CASE("an instance of one's own is named by its places, and said again with absolute paths") {
  const Variables variables(Values{{"HOME", "/home/ann"}});
  InstanceOptions options;
  options.state_directory = "/srv/it's here/";
  const InstanceChoice choice = choose_instance(options);
  CHECK(choice.named);
  CHECK(choice.instance.user_mode);
  CHECK(instance_hint(choice.options) == " --user --state-dir '/srv/it'\\''s here'");
  CHECK(daemon_command("/d", choice) ==
        std::vector<std::string>{"/d", "--on-demand", "--user", "--state-dir", "/srv/it's here"});
}

}  // namespace mcpu::daemon_access_test
