#include "daemon/server.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <thread>
#include <tuple>

#include "raw_client.hpp"
#include "scratch_directory.hpp"
#include "scripted_service.hpp"

namespace mcpu::server_test {

using namespace std::string_literals;
using nlohmann::json;

namespace {

/// A server on a socket of its own, with the event log of jobs 1 and 2 open.
struct Fixture {
  explicit Fixture(ServerLimits limits = {}) : server(service, limits) {
    for (const JobId job : {JobId{1}, JobId{2}}) {
      std::filesystem::create_directories(layout.job(job));
      log.open(job);
    }
    server.listen(socket, true);
    thread = std::thread([this] { server.run(); });
  }
  ~Fixture() {
    service.release_plan();
    server.stop();
    thread.join();
  }

  void say(JobId job, const std::string& text, Tier tier = Tier::kInfo) {
    log.emit(job, tier, Phase::kStage, "summary.line", {{"text", text}});
  }
  void end(JobId job) {
    log.emit(job, Tier::kSuccess, Phase::kCommit, "job.finished", {{"message", "done"}}, {}, true);
    log.flush(job);
    service.finish(job, {Outcome::kDone, "done", {{"to", "1.2"}}});
  }
  /// A reason to believe that the server still serves others.
  bool serves() {
    return RawClient(socket).ask("org.varlink.service.GetInfo").parameters["product"] ==
           "mcp-upgraded";
  }

  ScratchDirectory directory;
  Layout layout{directory.path(), ""};
  std::string socket = layout.state + "/socket";
  std::unique_ptr<FileSystem> fs = make_posix_file_system();
  EventLog log{*fs, layout};
  ScriptedService service{log};
  Server server;
  std::thread thread;
};

std::vector<std::string> receive_texts(RawClient& client, std::size_t count) {
  std::vector<std::string> texts;
  while (texts.size() < count) {
    const auto reply = client.receive();
    if (!reply || !reply->continues) break;
    if (reply->parameters.contains("event")) texts.push_back(reply->parameters["event"]["text"]);
  }
  return texts;
}

using Texts = std::vector<std::string>;
const std::string kOurs = "dev.mcplocal.Upgrade.";
const std::string kStandard = "org.varlink.service.";

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a call is answered with what the service says about this peer") {
  RawClient client(socket);
  const Reply reply = client.ask("Status", {{"app", "tool"}});
  CHECK(reply.error.empty());
  CHECK(reply.parameters == json{{"app", "tool"}, {"verify", false}, {"uid", ::getuid()}});
  CHECK(client.ask("Jobs").parameters["limit"] == 20);
  CHECK(client.ask("Cancel", {{"job", 7}}).parameters["job"] == 7);
  CHECK(client.ask("Hold").error.empty());
  CHECK(client.ask("Pin", {{"release", "1.2-ab"}}).error.empty());
  CHECK(service.marks() == Texts{"hold ", "pin 1.2-ab"});
}

TEST_CASE_FIXTURE(Fixture, "the service describes itself") {
  RawClient client(socket);
  CHECK(client.ask(kStandard + "GetInfo").parameters["interfaces"].size() == 2);
  for (const auto name : {"dev.mcplocal.Upgrade", "org.varlink.service"}) {
    const Reply reply = client.ask(kStandard + "GetInterfaceDescription", {{"interface", name}});
    CHECK(reply.parameters["description"].get<std::string>().find("interface "s + name) !=
          std::string::npos);
  }
  const Reply unknown = client.ask(kStandard + "GetInterfaceDescription", {{"interface", "a.b"}});
  CHECK(unknown.error == kStandard + "InterfaceNotFound");
  CHECK(unknown.parameters["interface"] == "a.b");
}

TEST_CASE_FIXTURE(Fixture, "calls that nobody serves get Varlink's own errors") {
  RawClient client(socket);
  CHECK(client.ask("Explode").error == kStandard + "MethodNotFound");
  CHECK(client.ask("com.example.Ping").error == kStandard + "InterfaceNotFound");
  CHECK(client.ask("Watch", {{"job", 1}}).error == kStandard + "ExpectedMore");
  client.send("{\"method\":\"dev.mcplocal.Upgrade.Status\",\"upgrade\":true}\0"s);
  CHECK(client.receive()->error == kStandard + "MethodNotImplemented");
  CHECK(client.ask("Status").error.empty());
}

TEST_CASE_FIXTURE(Fixture, "wrong parameters are refused by name and the connection lives on") {
  RawClient client(socket);
  for (const auto& [method, parameters, field] :
       std::vector<std::tuple<std::string, json, std::string>>{
           {"Upgrade", {{"mod", "quick"}}, "mod"},
           {"Upgrade", {{"mode", "slow"}}, "mode"},
           {"Plan", json::object(), "kind"},
           {"Plan", {{"kind", "upgrade"}, {"configs", "auto"}}, "configs"},
           {"Jobs", {{"limit", 0}}, "limit"},
           {"Pin", json::object(), "release"},
           {"Watch", {{"level", "loud"}}, "level"},
           {"Watch", {{"after", 3}}, "after"},
           {"Status", {{"app", "../x"}}, "app"}}) {
    const Reply reply = client.ask(method, parameters);
    CHECK(reply.error == kOurs + "InvalidRequest");
    CHECK(reply.parameters["field"] == field);
    CHECK(reply.parameters["message"].get<std::string>().find(field) != std::string::npos);
  }
  CHECK(service.submitted().empty());
}

TEST_CASE_FIXTURE(Fixture, "what the service throws becomes a typed error") {
  RawClient client(socket);
  service.script(Error(Code::kBusy, "busy with job 1", service.busy_details()));
  const Reply busy = client.ask("Upgrade");
  CHECK(busy.error == kOurs + "Busy");
  CHECK(busy.parameters["owner"] == "ann");
  CHECK(busy.parameters["message"] == "busy with job 1");
  CHECK(client.ask("ShowConfiguration").error == kOurs + "Internal");
}

TEST_CASE_FIXTURE(Fixture, "pipelined requests are answered in order, oneway ones not at all") {
  RawClient client(socket);
  std::string calls;
  for (int i = 1; i <= 50; ++i) {
    calls += encode_frame({{"method", kOurs + "Jobs"}, {"parameters", {{"limit", i}}}});
    calls += encode_frame({{"method", kOurs + "Nonsense"}, {"oneway", true}});
  }
  client.send(calls);
  for (int i = 1; i <= 50; ++i) CHECK(client.receive()->parameters["limit"] == i);
}

TEST_CASE_FIXTURE(Fixture, "a peer that finished sending still gets its replies") {
  RawClient client(socket);
  client.call("Jobs", {{"limit", 3}});
  client.call("Jobs", {{"limit", 4}});
  client.finish_sending();
  CHECK(client.receive()->parameters["limit"] == 3);
  CHECK(client.receive()->parameters["limit"] == 4);
  CHECK_FALSE(client.receive().has_value());
}

TEST_CASE_FIXTURE(Fixture, "a oneway job is started although its caller is gone at once") {
  {
    RawClient client(socket);
    client.send(encode_frame({{"method", kOurs + "Upgrade"}, {"oneway", true}}) +
                encode_frame({{"method", kOurs + "Rollback"}, {"oneway", true}}));
  }
  for (int i = 0; i < 500 && service.submitted().size() < 2; ++i) {
    CHECK(serves());
  }
  CHECK(service.submitted().size() == 2);
}

TEST_CASE_FIXTURE(Fixture, "hostile bytes get a typed error and the connection is closed") {
  for (const std::string& bytes :
       {"{\"method\":\"\xff\"}\0"s, "[]\0"s, "not json\0"s, "{}\0"s,
        "{\"a\":" + std::string(1000, '[') + std::string(1000, ']') + "}\0"s}) {
    RawClient client(socket);
    client.send(bytes);
    CHECK(client.receive()->error == kOurs + "InvalidRequest");
    CHECK_FALSE(client.receive().has_value());
  }
  CHECK(serves());
}

TEST_CASE_FIXTURE(Fixture, "a request of a hundred megabytes is refused after its first bytes") {
  RawClient client(socket);
  const std::string chunk(1 << 20, 'x');
  int sent = 0;
  while (sent < 100 && client.send(chunk)) ++sent;
  CHECK(sent < 5);
  const auto reply = client.receive();
  REQUIRE(reply.has_value());
  CHECK(reply->error == kOurs + "InvalidRequest");
  CHECK(serves());
}

TEST_CASE_FIXTURE(Fixture, "a streaming job gives its disposition, its events and its result") {
  RawClient client(socket);
  client.call("Upgrade", json::object(), true);
  const auto first = client.receive();
  CHECK(first->continues);
  CHECK(first->parameters == json{{"job", 1}, {"disposition", "started"}, {"position", 0}});
  say(1, "one");
  CHECK(receive_texts(client, 1) == Texts{"one"});
  say(1, "two");
  end(1);
  CHECK(receive_texts(client, 2) == Texts{"two", "done"});
  const auto last = client.receive();
  CHECK_FALSE(last->continues);
  CHECK(last->parameters["result"]["outcome"] == "done");
  CHECK(last->parameters["result"]["details"]["to"] == "1.2");
  CHECK(client.ask("Status").error.empty());
}

TEST_CASE_FIXTURE(Fixture, "without more a job is answered once") {
  RawClient client(socket);
  service.script(Ticket{2, "joined", 0, std::chrono::seconds(0)});
  const Reply reply = client.ask("Check", {{"deep", true}});
  CHECK_FALSE(reply.continues);
  CHECK(reply.parameters["disposition"] == "joined");
  CHECK(service.submitted().at(0).deep);
}

TEST_CASE_FIXTURE(Fixture, "a job whose waiting time runs out is answered with Busy") {
  RawClient client(socket);
  service.script(Ticket{2, "queued", 1, std::chrono::seconds(0)});
  client.call("Upgrade", json::object(), true);
  CHECK(client.receive()->parameters["position"] == 1);
  CHECK(receive_texts(client, 1) == Texts{"waited too long"});
  const auto last = client.receive();
  CHECK(last->error == kOurs + "Busy");
  CHECK(last->parameters["job"] == 1);
  CHECK(last->parameters["owner"] == "ann");
  CHECK(service.expired == 1);
}

TEST_CASE_FIXTURE(Fixture,
                  "a watcher can start behind any event, filter by tier and stop at the end") {
  say(1, "one");
  say(1, "two", Tier::kDebug);
  say(1, "three", Tier::kWarning);
  log.flush(1);
  RawClient client(socket);
  client.call("Watch", {{"job", 1}, {"after", 1}}, true);
  CHECK(receive_texts(client, 9) == Texts{"two", "three"});
  client.call("Watch", {{"job", 1}, {"level", "info"}}, true);
  CHECK(receive_texts(client, 9) == Texts{"one", "three"});
  end(1);
  client.call("Watch", {{"job", 1}, {"follow", true}, {"after", 2}}, true);
  CHECK(receive_texts(client, 2) == Texts{"three", "done"});
  CHECK(client.receive()->parameters["result"]["outcome"] == "done");
  client.call("Watch", {{"job", 99}}, true);
  CHECK(client.receive()->error == kOurs + "NotFound");
}

TEST_CASE_FIXTURE(Fixture, "a watcher without a job waits for one and follows from job to job") {
  RawClient client(socket);
  client.call("Watch", {{"follow", true}}, true);
  service.set_latest(1);
  say(1, "first job");
  CHECK(receive_texts(client, 1) == Texts{"first job"});
  end(1);
  CHECK(receive_texts(client, 1) == Texts{"done"});
  service.set_latest(2);
  say(2, "second job");
  CHECK(receive_texts(client, 1) == Texts{"second job"});
}

TEST_CASE_FIXTURE(Fixture, "details of another user are not shown") {
  log.emit(1, Tier::kInfo, Phase::kMidCheck, "check.output", {{"check", "x"}, {"output", "secret"}},
           ScriptedService::kHiddenUid);
  log.emit(1, Tier::kInfo, Phase::kMidCheck, "check.output", {{"check", "x"}, {"output", "mine"}},
           ::getuid());
  log.flush(1);
  RawClient client(socket);
  client.call("Watch", {{"job", 1}}, true);
  const Texts texts = receive_texts(client, 2);
  CHECK(texts.at(0).find("secret") == std::string::npos);
  CHECK(texts.at(1).find("mine") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "a slow call holds up neither others nor its own connection's order") {
  RawClient slow(socket);
  slow.call("Plan", {{"kind", "rollback"}, {"to", "1.1"}});
  slow.call("Jobs");
  while (service.planning == 0) std::this_thread::yield();
  CHECK(serves());
  service.release_plan();
  CHECK(slow.receive()->parameters["kind"] == "rollback");
  CHECK(slow.receive()->parameters.contains("jobs"));
}

TEST_CASE("a watcher that takes nothing is dropped, others get everything") {
  ServerLimits limits;
  limits.unwritable = std::chrono::seconds(1);
  Fixture fixture(limits);
  RawClient stuck(fixture.socket), good(fixture.socket);
  for (RawClient* client : {&stuck, &good}) {
    client->call("Watch", {{"job", 1}, {"follow", true}}, true);
  }
  const std::size_t count = 3000;
  for (std::size_t i = 0; i < count; ++i) fixture.say(1, std::string(1000, 'x'));
  CHECK(receive_texts(good, count).size() == count);
  pollfd gone{stuck.descriptor(), POLLRDHUP, 0};
  CHECK(::poll(&gone, 1, 5'000) == 1);
  CHECK(receive_texts(stuck, count).size() < count);
  RawClient again(fixture.socket);
  again.call("Watch", {{"job", 1}, {"after", count - 1}}, true);
  CHECK(receive_texts(again, 1).size() == 1);
}

TEST_CASE("one connection too many is closed with an error") {
  ServerLimits limits;
  limits.max_connections_per_uid = 3;
  Fixture fixture(limits);
  {
    RawClient a(fixture.socket), b(fixture.socket), c(fixture.socket);
    CHECK(a.ask("Jobs").error.empty());
    CHECK(b.ask("Jobs").error.empty());
    CHECK(c.ask("Jobs").error.empty());
    RawClient d(fixture.socket);
    const auto reply = d.receive();
    CHECK(reply->error == kOurs + "TooManyConnections");
    CHECK(reply->parameters["limit"] == 3);
    CHECK_FALSE(d.receive().has_value());
  }
}

TEST_CASE("those who may change nothing have a share of the connections, each a smaller one") {
  const auto limit_met_by_second = [](const ServerLimits& limits) {
    Fixture fixture(limits);
    fixture.service.strangers_only = true;
    RawClient first(fixture.socket);
    CHECK(first.ask("Jobs").error.empty());
    RawClient second(fixture.socket);
    const auto refused = second.receive();
    CHECK(refused->error == kOurs + "TooManyConnections");
    fixture.service.strangers_only = false;
    CHECK(RawClient(fixture.socket).ask("Jobs").error.empty());
    return refused->parameters["limit"].get<std::size_t>();
  };
  ServerLimits limits;
  limits.max_connections_per_stranger = 1;
  CHECK(limit_met_by_second(limits) == 1);
  limits = ServerLimits();
  limits.max_stranger_connections = 1;
  CHECK(limit_met_by_second(limits) == 1);
}

TEST_CASE_FIXTURE(Fixture, "watchers that hang up leave no connection behind") {
  for (int i = 0; i < 300; ++i) {
    RawClient client(socket);
    client.call("Watch", {{"job", 1}, {"follow", true}}, true);
    if (i % 2 == 0) client.finish_sending();
  }
  CHECK(serves());
}

TEST_CASE_FIXTURE(Fixture,
                  "an unused server is told so, but not while somebody is connected or works") {
  std::atomic<int> idle{0};
  service.is_idle = false;
  auto client = std::make_unique<RawClient>(socket);
  CHECK(client->ask("Jobs").error.empty());
  server.when_idle(std::chrono::seconds(1), [&] { ++idle; });
  client.reset();
  service.is_idle = true;
  for (int i = 0; i < 500 && idle == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(idle == 1);
}

TEST_CASE("stop lets the last events and the result out and removes the socket") {
  Fixture fixture;
  RawClient client(fixture.socket);
  client.call("Upgrade", json::object(), true);
  client.receive();
  fixture.say(1, "undone");
  fixture.end(1);
  fixture.log.flush(1);
  fixture.server.stop();
  CHECK(receive_texts(client, 2) == Texts{"undone", "done"});
  CHECK(client.receive()->parameters.contains("result"));
  CHECK_FALSE(client.receive().has_value());
  CHECK_FALSE(std::filesystem::exists(fixture.socket));
}

}  // namespace mcpu::server_test
