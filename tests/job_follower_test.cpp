#include "client/job_follower.hpp"

#include <doctest/doctest.h>

#include "tests/client_fixture.hpp"
#include "tests/scratch_directory.hpp"
#include "tests/scripted_daemon.hpp"

namespace mcpu::job_follower_test {

using namespace mcpu::test;
using nlohmann::json;

namespace {

json event(int number, bool last = false) {
  json reply = {{"job", 5}, {"event", {{"job", 5}, {"number", number}}}};
  if (last) reply["event"]["last"] = true;
  return reply;
}

json result(const char* outcome) {
  return {{"job", 5},
          {"result", {{"outcome", outcome}, {"message", "m"}, {"details", json::object()}}}};
}

/// A follower of a scripted daemon, and everything that it was shown.
struct Followed {
  ScratchDirectory directory;
  Interrupts interrupts;
  std::vector<std::uint64_t> numbers;
  std::vector<std::string> remarks;
  std::vector<json> calls;
  std::string socket = directory / "socket";
  DaemonAccess access{choice(), interrupts, [](const std::string&) {}};
  JobFollower follower{access,
                       [this](const json& reply) {
                         if (reply.contains("event")) numbers.push_back(reply["event"]["number"]);
                       },
                       [this](const std::string& text) { remarks.push_back(text); }};

  InstanceChoice choice() {
    InstanceOptions options;
    options.system = true;  // nothing is started: the scripted daemon is all there is
    options.socket = socket;
    options.state_directory = directory.path();
    return choose_instance(options);
  }

  ScriptedDaemon::Scene scene(const std::function<void(ScriptedPeer&)>& play) {
    return [this, play](ScriptedPeer& peer) {
      calls.push_back(peer.call());
      play(peer);
    };
  }
};

}  // namespace

TEST_CASE("a job that runs through is shown whole, and its result returned") {
  Followed followed;
  ScriptedDaemon daemon(followed.socket, {followed.scene([](ScriptedPeer& peer) {
                          peer.reply({{"job", 5}, {"disposition", "started"}}, true);
                          peer.reply(event(1), true);
                          peer.reply(event(2, true), true);
                          peer.reply(result("done"));
                        })});
  const JobResult done = followed.follower.run("Upgrade", {{"request_id", "r"}});
  CHECK(done.outcome == Outcome::kDone);
  CHECK(followed.numbers == std::vector<std::uint64_t>{1, 2});
  CHECK(followed.follower.job() == 5);
  CHECK(followed.remarks.empty());
}

TEST_CASE("after a lost connection each event is seen once, those of the recovery included") {
  Followed followed;
  ScriptedDaemon daemon(
      followed.socket,
      {followed.scene([](ScriptedPeer& peer) {
         peer.reply({{"job", 5}, {"disposition", "started"}}, true);
         for (int i = 1; i <= 3; ++i) peer.reply(event(i), true);
       }),
       followed.scene([](ScriptedPeer&) {}), followed.scene([](ScriptedPeer& peer) {
         for (int i = 3; i <= 6; ++i) peer.reply(event(i, i == 6), true);
         peer.reply(result("failed"));
       })});
  const JobResult failed = followed.follower.run("Upgrade", {{"request_id", "r"}});
  CHECK(failed.outcome == Outcome::kFailed);
  CHECK(followed.numbers == std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6});
  CHECK(followed.calls[1].at("method") == "dev.mcplocal.Upgrade.Watch");
  CHECK(followed.calls[1].at("parameters") == json{{"job", 5}, {"after", 3}, {"follow", true}});
  CHECK(followed.remarks.size() == 2);  // lost, and back
}

TEST_CASE("a request that got no answer is sent again under the same id") {
  Followed followed;
  ScriptedDaemon daemon(
      followed.socket,
      {followed.scene([](ScriptedPeer&) {}),
       followed.scene([](ScriptedPeer& peer) { peer.reply(result("nothing_to_do")); })});
  CHECK(followed.follower.run("Upgrade", {{"request_id", "r"}}).outcome == Outcome::kNothingToDo);
  CHECK(followed.calls[0] == followed.calls[1]);
  CHECK(followed.calls[1].at("parameters").at("request_id") == "r");
}

TEST_CASE("watching without a number ends with the first job, and has its result") {
  Followed followed;
  ScriptedDaemon daemon(
      followed.socket,
      {followed.scene([](ScriptedPeer& peer) {
         peer.reply(event(1), true);
         peer.reply(event(2, true), true);
         peer.call();  // goes on with the next job for ever
       }),
       followed.scene([](ScriptedPeer& peer) { peer.reply(result("cancelled")); })});
  CHECK(followed.follower.watch({}, 0, {}).outcome == Outcome::kCancelled);
  CHECK(followed.numbers == std::vector<std::uint64_t>{1, 2});
  CHECK_FALSE(followed.calls[0].at("parameters").contains("job"));
  CHECK(followed.calls[1].at("parameters").at("job") == 5);
}

TEST_CASE("nobody there at the first attempt, or a refusal, is an answer and not retried") {
  Followed followed;
  CHECK_THROWS_AS(followed.follower.run("Upgrade", json::object()), Error);
  ScriptedDaemon daemon(followed.socket, {followed.scene([](ScriptedPeer& peer) {
                          peer.error("dev.mcplocal.Upgrade.Busy", {{"message", "later"}});
                        })});
  try {
    followed.follower.run("Upgrade", json::object());
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kBusy);
  }
  CHECK(followed.calls.size() == 1);
}

}  // namespace mcpu::job_follower_test
