#include "daemon/worker_link.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "proto/error.hpp"

namespace mcpu::worker_link_test {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

struct Pair {
  WorkerLink daemon;
  WorkerLink worker;
};

Pair connected() {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  Pair pair{WorkerLink(UniqueFd(ends[0])), WorkerLink(UniqueFd(ends[1]))};
  pair.daemon.limit(steady_clock::now() + milliseconds(5000), nullptr);
  pair.worker.limit(steady_clock::now() + milliseconds(5000), nullptr);
  return pair;
}

/// The error that a call ends in; the test fails if there is none.
Error error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  FAIL("no error");
  return Error(Code::kInternal, "");
}

void write_raw(const WorkerLink& link, std::string_view bytes) {
  REQUIRE(::write(link.descriptor(), bytes.data(), bytes.size()) ==
          static_cast<ssize_t>(bytes.size()));
}

/// Writes a message with a descriptor beside it, as no end of a link does.
void send_with_descriptor(const WorkerLink& link, const std::string& message, int descriptor) {
  const auto head = WorkerLink::header(WorkerLink::kJson, message.size());
  std::string bytes(head.begin(), head.end());
  bytes += message;
  iovec part{bytes.data(), bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr sent{};
  sent.msg_iov = &part;
  sent.msg_iovlen = 1;
  sent.msg_control = control.data();
  sent.msg_controllen = control.size();
  cmsghdr* beside = CMSG_FIRSTHDR(&sent);
  beside->cmsg_level = SOL_SOCKET;
  beside->cmsg_type = SCM_RIGHTS;
  beside->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(beside), &descriptor, sizeof descriptor);
  REQUIRE(::sendmsg(link.descriptor(), &sent, 0) == static_cast<ssize_t>(bytes.size()));
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("messages and bytes arrive as they were sent") {
  auto pair = connected();
  pair.worker.send({{"a", 1}});
  pair.worker.send_bytes(std::string("\0\xff", 2));
  pair.worker.send_bytes("");
  CHECK(pair.daemon.receive() == json{{"a", 1}});
  CHECK(pair.daemon.receive_bytes() == std::string("\0\xff", 2));
  CHECK(pair.daemon.receive_bytes().empty());
}

TEST_CASE("a frame larger than the socket's buffer passes while the other end reads") {
  auto pair = connected();
  const std::string big(WorkerLink::kMaxFrameBytes, 'x');
  std::thread sender([&] { pair.worker.send_bytes(big); });
  CHECK(pair.daemon.receive_bytes() == big);
  sender.join();
  CHECK(error_of([&] { pair.worker.send_bytes(big + "x"); }).code() == Code::kInternal);
}

TEST_CASE("an error keeps its code, text and context on the way") {
  auto pair = connected();
  pair.worker.send_error(io_error("open", "/a/b", ENOENT));
  const auto error = error_of([&] { pair.daemon.receive(); });
  CHECK(error.code() == Code::kIo);
  CHECK(error.sys() == ENOENT);
  CHECK(std::string(error.what()) == "cannot open /a/b: No such file or directory");
}

TEST_CASE("an error is thrown where bytes were due, too") {
  auto pair = connected();
  pair.worker.send_error(Error(Code::kSource, "the tag moved"));
  CHECK(error_of([&] { pair.daemon.receive_bytes(); }).code() == Code::kSource);
}

TEST_CASE("a worker cannot pretend that the job was cancelled") {
  auto pair = connected();
  pair.worker.send({{"error", {{"code", "Cancelled"}, {"message", "x"}}}});
  CHECK(error_of([&] { pair.daemon.receive(); }).code() == Code::kWorker);
}

TEST_CASE("a hostile error object does no harm") {
  auto pair = connected();
  pair.worker.send({{"error", {{"code", 7}, {"message", json::array()}, {"context", "x"}}}});
  CHECK(error_of([&] { pair.daemon.receive(); }).code() == Code::kWorker);
  pair.worker.send({{"error", {{"code", "InputOutput"}, {"context", {{"errno", "x"}}}}}});
  CHECK(error_of([&] { pair.daemon.receive(); }).sys() == 0);
  pair.worker.send({{"error", {{"message", std::string(100'000, 'm')}}}});
  CHECK(std::string(error_of([&] { pair.daemon.receive(); }).what()).size() < 5000);
}

TEST_CASE("malformed frames are refused") {
  const std::string deep = std::string(1000, '[') + std::string(1000, ']');
  const std::string nested = R"({"a":)" + deep + "}";
  for (const auto& payload : {std::string("{"), std::string("[1]"), std::string("\xff"), nested,
                              std::string(), std::string(R"({"a":"\xff"})")}) {
    auto pair = connected();
    const auto header = WorkerLink::header(WorkerLink::kJson, payload.size());
    write_raw(pair.worker, std::string(header.data(), header.size()) + payload);
    CHECK(error_of([&] { pair.daemon.receive(); }).code() == Code::kWorker);
  }
  for (const auto& frame : {std::string("X\0\0\0\0", 5), std::string("J\xff\xff\xff\xff", 5)}) {
    auto pair = connected();
    write_raw(pair.worker, frame);
    CHECK(error_of([&] { pair.daemon.receive(); }).code() == Code::kWorker);
  }
}

TEST_CASE("brackets within strings are not nesting") {
  auto pair = connected();
  const json message{{"text", std::string(1000, '[') + "\"" + std::string(1000, '{')}};
  pair.worker.send(message);
  CHECK(pair.daemon.receive() == message);
}

TEST_CASE("the wrong kind of frame is refused") {
  auto pair = connected();
  pair.worker.send_bytes("{}");
  CHECK(error_of([&] { pair.daemon.receive(); }).code() == Code::kWorker);
  pair.worker.send({{"a", 1}});
  CHECK(error_of([&] { pair.daemon.receive_bytes(); }).code() == Code::kWorker);
}

TEST_CASE("a descriptor that comes along is not taken over") {
  auto pair = connected();
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const auto before = open_descriptors();
  send_with_descriptor(pair.worker, "{}", null.get());
  CHECK(pair.daemon.receive() == json::object());
  CHECK(open_descriptors() == before);
}

TEST_CASE("silence ends at the deadline") {
  auto pair = connected();
  pair.daemon.limit(steady_clock::now() + milliseconds(20), nullptr);
  CHECK(error_of([&] { pair.daemon.receive(); }).code() == Code::kTimeout);
}

TEST_CASE("a reader that does not read ends at the deadline") {
  auto pair = connected();
  pair.daemon.limit(steady_clock::now() + milliseconds(20), nullptr);
  const std::string big(WorkerLink::kMaxFrameBytes, 'x');
  CHECK(error_of([&] { pair.daemon.send_bytes(big); }).code() == Code::kTimeout);
}

TEST_CASE("endless chatter ends at the deadline") {
  auto pair = connected();
  pair.daemon.limit(steady_clock::now() + milliseconds(30), nullptr);
  std::thread chatter([&] {
    try {
      for (;;) pair.worker.send_bytes("more");
    } catch (const Error&) {
    }
  });
  const auto error = error_of([&] {
    for (;;) pair.daemon.receive_bytes();
  });
  CHECK(error.code() == Code::kTimeout);
  pair.daemon = WorkerLink(UniqueFd());
  chatter.join();
}

TEST_CASE("a cancel wakes a waiting receive") {
  auto pair = connected();
  Cancellation cancellation;
  pair.daemon.limit(Deadline::max(), &cancellation);
  std::thread canceller([&] { cancellation.request(); });
  CHECK(error_of([&] { pair.daemon.receive(); }).code() == Code::kCancelled);
  canceller.join();
}

TEST_CASE("the end of the link is an error that says what happened") {
  auto pair = connected();
  pair.worker = WorkerLink(UniqueFd());
  CHECK(error_of([&] { pair.daemon.receive(); }).code() == Code::kWorker);
  CHECK(error_of([&] { pair.daemon.send({{"a", 1}}); }).code() == Code::kWorker);
}

TEST_CASE("what a dead worker reported is thrown even when sending fails first") {
  auto pair = connected();
  pair.worker.send_error(Error(Code::kSource, "no repository"));
  pair.worker = WorkerLink(UniqueFd());
  CHECK(error_of([&] { pair.daemon.send({{"a", 1}}); }).code() == Code::kSource);
}

}  // namespace mcpu::worker_link_test
