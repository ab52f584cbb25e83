#include "client/connection.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <future>
#include <thread>

#include "proto/error.hpp"
#include "tests/client_fixture.hpp"
#include "tests/scratch_directory.hpp"
#include "tests/scripted_daemon.hpp"

namespace mcpu::connection_test {

using namespace mcpu::test;
using nlohmann::json;

namespace {

/// The error that something throws; the test fails if it throws none.
template <typename Action>
Error error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  FAIL("nothing was thrown");
  return Error(Code::kInternal, "");
}

struct Wire {
  ScratchDirectory directory;
  std::string path = directory / "socket";
  Interrupts interrupts;
};

}  // namespace

TEST_CASE("a call carries its method and parameters, and brings back the reply's") {
  Wire wire;
  json seen;
  ScriptedDaemon daemon(wire.path, {[&](ScriptedPeer& peer) {
                          seen = peer.call();
                          peer.reply({{"jobs", json::array({1, 2})}});
                        }});
  Connection connection(wire.path, wire.interrupts);
  CHECK(connection.call("Jobs", {{"limit", 2}}) == json{{"jobs", {1, 2}}});
  CHECK(seen.at("method") == "dev.mcplocal.Upgrade.Jobs");
  CHECK(seen.at("parameters") == json{{"limit", 2}});
  CHECK_FALSE(seen.contains("more"));
}

TEST_CASE("a stream gives every reply in order and ends with the last") {
  Wire wire;
  json seen;
  ScriptedDaemon daemon(wire.path, {[&](ScriptedPeer& peer) {
                          seen = peer.call();
                          std::string all;
                          for (int i = 1; i <= 300; ++i) {
                            all += encode_frame(to_json(Reply{{{"n", i}}, i < 300, ""}));
                          }
                          for (std::size_t at = 0; at < all.size(); at += 7) {
                            peer.raw(all.substr(at, 7));
                          }
                        }});
  Connection connection(wire.path, wire.interrupts);
  int next = 1;
  connection.stream("Watch", json::object(),
                    [&](const json& reply) { CHECK(reply.at("n") == next++); });
  CHECK(next == 301);
  CHECK(seen.at("more") == true);
}

TEST_CASE("the daemon's typed errors are thrown here as what they were there") {
  Wire wire;
  ScriptedDaemon daemon(
      wire.path, {[](ScriptedPeer& peer) {
        peer.call();
        peer.error("dev.mcplocal.Upgrade.Busy", {{"message", "job 7 runs"}, {"job", 7}});
        peer.call();
        peer.error("dev.mcplocal.Upgrade.TooManyConnections", {{"message", "full"}, {"limit", 2}});
        peer.call();
        peer.error("dev.mcplocal.Upgrade.FromTheFuture", {{"message", "new"}});
        peer.call();
        peer.error("org.varlink.service.MethodNotFound", {{"method", "x"}});
      }});
  Connection connection(wire.path, wire.interrupts);
  const Error busy = error_of([&] { connection.call("Upgrade", json::object()); });
  CHECK(busy.code() == Code::kBusy);
  CHECK(std::string(busy.what()) == "job 7 runs");
  CHECK(busy.context().at("job") == 7);
  const Error full = error_of([&] { connection.call("Upgrade", json::object()); });
  CHECK(full.code() == Code::kTooManyConnections);
  CHECK(std::string(full.what()) == "full");
  const Error other = error_of([&] { connection.call("Upgrade", json::object()); });
  CHECK(std::string(other.what()) == "FromTheFuture: new");
  const Error unknown = error_of([&] { connection.call("Upgrade", json::object()); });
  CHECK(std::string(unknown.what()).find("different versions") != std::string::npos);
}

TEST_CASE(
    "no socket, a socket file without a daemon and a file that is none are all nobody there") {
  Wire wire;
  CHECK(error_of([&] { Connection(wire.path, wire.interrupts); }).code() == Code::kNoDaemon);
  { ScriptedDaemon gone(wire.path, {}); }
  REQUIRE(std::filesystem::exists(wire.path));
  const Error dead = error_of([&] { Connection(wire.path, wire.interrupts); });
  CHECK(dead.code() == Code::kNoDaemon);
  CHECK_FALSE(connection_lost(dead));
  CHECK(std::string(dead.what()).find(wire.path) != std::string::npos);
}

TEST_CASE("a daemon that hangs up in the middle is a lost connection") {
  Wire wire;
  ScriptedDaemon daemon(wire.path, {[](ScriptedPeer& peer) {
                          peer.call();
                          peer.raw("{\"parameters\":{");
                        }});
  Connection connection(wire.path, wire.interrupts);
  CHECK(connection_lost(error_of([&] { connection.call("Status", json::object()); })));
}

TEST_CASE("replies that are no Varlink are refused, whatever they are") {
  for (const std::string& reply :
       {std::string("nonsense"), std::string("[1]"), std::string("{\"parameters\":3}"),
        std::string(2000, '['), std::string("{\"error\":\"\xff\"}")}) {
    Wire wire;
    ScriptedDaemon daemon(wire.path, {[&](ScriptedPeer& peer) {
                            peer.call();
                            peer.raw(reply + '\0');
                          }});
    Connection connection(wire.path, wire.interrupts);
    CHECK(error_of([&] { connection.call("Status", json::object()); }).code() ==
          Code::kInvalidRequest);
  }
}

TEST_CASE("a socket whose path is longer than an address holds can be reached") {
  Wire wire;
  const std::string deep = wire.directory / std::string(120, 'd');
  std::filesystem::create_directory(deep);
  ScriptedDaemon daemon(wire.path, {[](ScriptedPeer& peer) {
                          peer.call();
                          peer.reply({{"ok", true}});
                        }});
  std::filesystem::rename(wire.path, deep + "/socket");
  Connection connection(deep + "/socket", wire.interrupts);
  CHECK(connection.call("Status", json::object()).at("ok") == true);
}

TEST_CASE("Ctrl-C ends waiting for a daemon that says nothing") {
  Wire wire;
  ScriptedDaemon daemon(wire.path, {[](ScriptedPeer& peer) {
                          peer.call();
                          peer.call();  // until the client is gone
                        }});
  {
    Connection connection(wire.path, wire.interrupts);
    ::raise(SIGINT);
    CHECK_THROWS_AS(connection.call("Status", json::object()), Interrupted);
  }
}

TEST_CASE("a daemon that does not answer a short call is given up, with what to do") {
  Wire wire;
  ScriptedDaemon daemon(wire.path, {[](ScriptedPeer& peer) {
                          peer.call();
                          peer.call();  // until the client is gone
                        }});
  Connection connection(wire.path, wire.interrupts);
  connection.limit_answers(std::chrono::milliseconds(20), "restart it with care");
  const Error error = error_of([&] { connection.call("Status", json::object()); });
  CHECK(error.code() == Code::kNoDaemon);
  CHECK_FALSE(connection_lost(error));
  CHECK(std::string(error.what()).find(wire.path) != std::string::npos);
  CHECK(std::string(error.what()).find("restart it with care") != std::string::npos);
}

TEST_CASE("only the first reply of a stream has a limit, and what takes long has none") {
  Wire wire;
  const auto limit = std::chrono::milliseconds(20);
  std::promise<void> answered;
  const auto reply_late = [&](ScriptedPeer& peer) {
    peer.call();
    std::this_thread::sleep_for(2 * limit);
    peer.reply(json::object());
  };
  ScriptedDaemon daemon(wire.path, {[&](ScriptedPeer& peer) {
                          // The first reply is there before the call, so that no load delays it.
                          peer.reply(json::object(), true);
                          answered.set_value();
                          for (int calls = 0; calls < 3; ++calls) reply_late(peer);
                        }});
  Connection connection(wire.path, wire.interrupts);
  connection.limit_answers(limit, "");
  answered.get_future().wait();
  int replies = 0;
  connection.stream("Upgrade", json::object(), [&](const json&) { ++replies; });
  CHECK(replies == 2);
  CHECK_NOTHROW(connection.call("Plan", json::object()));
  CHECK_NOTHROW(connection.call("Status", {{"verify", true}}));
}

}  // namespace mcpu::connection_test
