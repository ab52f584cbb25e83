#include "daemon/event_stream.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "proto/codec.hpp"
#include "scratch_directory.hpp"
#include "scripted_service.hpp"

namespace mcpu::event_stream_test {

using State = EventStream::State;

namespace {

struct Fixture {
  Fixture() {
    std::filesystem::create_directories(layout.job(1));
    log.open(1);
  }

  void say(int count, bool last = false) {
    for (int i = 1; i <= count; ++i) {
      log.emit(1, Tier::kInfo, Phase::kStage, "summary.line", {{"text", std::string(1000, 'x')}},
               {}, last && i == count);
    }
    log.flush(1);
  }

  ScratchDirectory directory;
  Layout layout{directory.path(), ""};
  std::unique_ptr<FileSystem> fs = make_posix_file_system();
  EventLog log{*fs, layout};
  ScriptedService service{log};
};

std::vector<Reply> replies(const std::string& frames) {
  FrameDecoder decoder(64 << 20, 64);
  decoder.append(frames);
  std::vector<Reply> all;
  while (const auto frame = decoder.next()) all.push_back(reply_from_json(*frame));
  CHECK(decoder.buffered() == 0);
  return all;
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a batch is bounded and the next one goes on where it ended") {
  say(200);
  EventStream stream(service, Peer{}, {1, false, 0, true, Tier::kDebug});
  std::uint64_t expected = 1;
  for (State state = State::kMore; state == State::kMore;) {
    std::string out;
    state = stream.fill(out, 10'000);
    CHECK(out.size() < 15'000);
    for (const Reply& reply : replies(out)) {
      CHECK(reply.continues);
      CHECK(reply.parameters["event"]["number"] == expected++);
    }
  }
  CHECK(expected == 201);
}

TEST_CASE_FIXTURE(Fixture, "after the final event the result is waited for") {
  say(1, true);
  EventStream stream(service, Peer{}, Ticket{1, "started", 0, {}});
  std::string out;
  CHECK(stream.fill(out, 1 << 20) == State::kRetry);
  CHECK(replies(out).size() == 2);
  service.finish(1, {Outcome::kFailed, "no", nlohmann::json::object()});
  out.clear();
  CHECK(stream.fill(out, 1 << 20) == State::kDone);
  CHECK(replies(out).at(0).parameters["result"]["outcome"] == "failed");
}

TEST_CASE_FIXTURE(Fixture, "a job whose log lacks a final event ends with its result") {
  say(3);
  log.close(1);
  service.finish(1, {Outcome::kDone, "yes", nlohmann::json::object()});
  EventStream stream(service, Peer{}, {1, false, 0, true, Tier::kDebug});
  std::string out;
  CHECK(stream.fill(out, 1 << 20) == State::kDone);
  const auto all = replies(out);
  CHECK(all.size() == 5);
  CHECK(all.at(3).parameters["event"]["number"] == 4);
  CHECK(all.at(3).parameters["event"]["id"] == "log.cut");
  CHECK_FALSE(all.back().continues);
}

TEST_CASE_FIXTURE(Fixture,
                  "who has seen the end of a log, or asks for more, is not told of a loss") {
  say(3, true);
  log.close(1);
  service.finish(1, {Outcome::kDone, "yes", nlohmann::json::object()});
  for (const std::uint64_t after : {3U, 4U, 1000U}) {
    EventStream stream(service, Peer{}, {1, false, after, false, Tier::kDebug});
    std::string out;
    CHECK(stream.fill(out, 1 << 20) == State::kDone);
    CHECK(replies(out).size() == 1);
  }
}

TEST_CASE_FIXTURE(Fixture, "a result that is known early does not cut off the final events") {
  say(1);
  service.finish(1, {Outcome::kDone, "yes", nlohmann::json::object()});
  EventStream stream(service, Peer{}, Ticket{1, "started", 0, {}});
  std::string out;
  CHECK(stream.fill(out, 1 << 20) == State::kWaiting);
  say(1, true);
  CHECK(stream.fill(out, 1 << 20) == State::kDone);
  CHECK(replies(out).size() == 4);
}

TEST_CASE_FIXTURE(Fixture, "a reader of no job in particular waits only if it follows") {
  std::string out;
  EventStream waiting(service, Peer{}, {0, true, 0, true, Tier::kDebug});
  CHECK(waiting.fill(out, 1000) == State::kWaiting);
  CHECK(out.empty());
  EventStream looking(service, Peer{}, {0, true, 0, false, Tier::kDebug});
  CHECK(looking.fill(out, 1000) == State::kDone);
  CHECK(replies(out).size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "an unknown job is an error reply, not an exception") {
  EventStream stream(service, Peer{}, {9, false, 0, true, Tier::kDebug});
  std::string out;
  CHECK(stream.fill(out, 1000) == State::kDone);
  CHECK(replies(out).at(0).error == "dev.mcplocal.Upgrade.NotFound");
}

}  // namespace mcpu::event_stream_test
