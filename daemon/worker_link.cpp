#include "daemon/worker_link.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "proto/error.hpp"
#include "proto/json_depth.hpp"
#include "proto/text.hpp"

namespace mcpu {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxMessageBytes = 4096;
constexpr std::size_t kMaxContextBytes = 16 * 1024;

Error worker_error(const std::string& what) { return Error(Code::kWorker, what); }

Error link_closed() {
  return worker_error("the worker ended before it had answered: it crashed or was killed");
}

bool is_gone(int errno_value) { return errno_value == EPIPE || errno_value == ECONNRESET; }

/// What a worker may say of its work. It cannot cancel a job or blame the client.
bool may_come_from_worker(Code code) {
  static constexpr std::array kAllowed{
      Code::kInvalidRequest, Code::kNotFound, Code::kBusy, Code::kNoSource, Code::kRefused,
      Code::kSource,         Code::kCheck,    Code::kIo,   Code::kCorrupt,  Code::kTimeout};
  return std::find(kAllowed.begin(), kAllowed.end(), code) != kAllowed.end();
}

Code code_from(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(Code::kInternal); ++i) {
    const auto code = static_cast<Code>(i);
    if (code_name(code) == name && may_come_from_worker(code)) return code;
  }
  return Code::kWorker;
}

std::string string_or(const json& object, const char* key, const char* otherwise) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : otherwise;
}

/// The context of an error, kept only in the form that Error relies on.
json safe_context(const json& error) {
  const auto found = error.find("context");
  if (found == error.end() || !found->is_object()) return json::object();
  auto context = *found;
  const auto number = context.find("errno");
  if (number != context.end() && !number->is_number_integer()) context.erase("errno");
  return context.dump().size() <= kMaxContextBytes ? context : json::object();
}

void throw_if_error(const json& message) {
  const auto found = message.find("error");
  if (found == message.end() || !found->is_object()) return;
  auto what = string_or(*found, "message", "the worker failed without saying why");
  if (what.size() > kMaxMessageBytes) what = to_utf8(what.substr(0, kMaxMessageBytes));
  throw Error(code_from(string_or(*found, "code", "")), what, safe_context(*found));
}

json parse_message(const std::string& payload) {
  if (deeper_than(payload, WorkerLink::kMaxDepth)) {
    throw worker_error("a worker sent a message nested too deeply: it is not to be trusted");
  }
  auto message = json::parse(payload, nullptr, /*allow_exceptions=*/false);
  if (!message.is_object()) {
    throw worker_error(
        "a worker sent something that is not a JSON object: it is not to be trusted");
  }
  throw_if_error(message);
  return message;
}

std::string to_payload(const json& message) {
  try {
    return message.dump();
  } catch (const json::type_error& error) {
    throw Error(Code::kInternal,
                std::string("a message for a worker is not UTF-8 (paths must be escaped): ") +
                    error.what());
  }
}

/// As recv of one byte, which stays where it is.
ssize_t peek(int socket) {
  char first = 0;
  return ::recv(socket, &first, 1, MSG_PEEK | MSG_DONTWAIT);
}

/// sendmsg of what is left of header and payload.
ssize_t send_some(int socket, std::string_view head, std::string_view body) {
  std::array<iovec, 2> parts{iovec{const_cast<char*>(head.data()), head.size()},
                             iovec{const_cast<char*>(body.data()), body.size()}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

struct WorkerLink::Frame {
  char kind = 0;
  std::string payload;
};

WorkerLink::Header WorkerLink::header(char kind, std::size_t payload_bytes) {
  Header header{kind};
  for (std::size_t i = 0; i < 4; ++i) {
    header[i + 1] = static_cast<char>((payload_bytes >> (8 * i)) & 0xff);
  }
  return header;
}

void WorkerLink::limit(Deadline deadline, const Cancellation* cancellation, std::string overdue) {
  deadline_ = deadline;
  cancellation_ = cancellation;
  overdue_ = std::move(overdue);
}

bool WorkerLink::await_frame() {
  for (;;) {
    check_limits();
    const auto there = peek(socket_.get());
    if (there > 0) return true;
    if (there == 0 || is_gone(errno)) return false;
    wait_for(POLLIN);
  }
}

bool WorkerLink::is_quiet() const { return peek(socket_.get()) < 0 && errno == EAGAIN; }

void WorkerLink::send(const json& message) { send_frame(kJson, to_payload(message)); }

void WorkerLink::send_bytes(std::string_view bytes) { send_frame(kBytes, bytes); }

void WorkerLink::send_error(const Error& error) {
  json body{{"code", code_name(error.code())}, {"message", to_utf8(error.what())}};
  try {
    if (error.context().dump().size() <= kMaxContextBytes) body["context"] = error.context();
  } catch (const json::exception&) {
    // A context with foreign bytes is left out: the message says what matters.
  }
  send({{"error", body}});
}

json WorkerLink::receive() {
  auto frame = receive_frame();
  if (frame.kind != kJson) throw worker_error("a worker sent bytes where a message was due");
  return parse_message(frame.payload);
}

std::string WorkerLink::receive_bytes() {
  auto frame = receive_frame();
  if (frame.kind != kBytes) {
    parse_message(frame.payload);  // throws the error, if it is one
    throw worker_error("a worker sent a message where bytes were due");
  }
  return std::move(frame.payload);
}

WorkerLink::Frame WorkerLink::receive_frame() {
  Header head{};
  Frame frame;
  read_exactly(head.data(), head.size());
  frame.kind = head[0];
  std::size_t size = 0;
  for (std::size_t i = 4; i > 0; --i) size = size << 8 | static_cast<unsigned char>(head[i]);
  if ((frame.kind != kJson && frame.kind != kBytes) || size > kMaxFrameBytes) {
    throw worker_error("a worker sent a malformed or oversized frame: it is not to be trusted");
  }
  frame.payload.resize(size);
  read_exactly(frame.payload.data(), size);
  return frame;
}

void WorkerLink::send_frame(char kind, std::string_view payload) {
  if (payload.size() > kMaxFrameBytes) {
    throw Error(Code::kInternal, "a message for a worker is larger than a frame may be");
  }
  const auto head = header(kind, payload.size());
  std::string_view rest_of_head(head.data(), head.size());
  while (!rest_of_head.empty() || !payload.empty()) {
    check_limits();
    const auto sent = send_some(socket_.get(), rest_of_head, payload);
    if (sent < 0 && errno == EAGAIN) {
      wait_for(POLLOUT);
    } else if (sent < 0 && is_gone(errno)) {
      throw_farewell();
    } else if (sent < 0 && errno != EINTR) {
      throw io_error("write to", "a worker", errno);
    } else if (sent > 0) {
      const auto from_head = std::min(static_cast<std::size_t>(sent), rest_of_head.size());
      rest_of_head.remove_prefix(from_head);
      payload.remove_prefix(static_cast<std::size_t>(sent) - from_head);
    }
  }
}

void WorkerLink::read_exactly(char* buffer, std::size_t size) {
  while (size > 0) {
    check_limits();
    const auto got = ::recv(socket_.get(), buffer, size, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && is_gone(errno))) throw link_closed();
    if (got > 0) {
      buffer += got;
      size -= static_cast<std::size_t>(got);
    } else if (errno == EAGAIN) {
      wait_for(POLLIN);
    } else if (errno != EINTR) {
      throw io_error("read from", "a worker", errno);
    }
  }
}

void WorkerLink::check_limits() const {
  if (cancellation_ != nullptr) cancellation_->check();
  if (deadline_ != Deadline::max() && std::chrono::steady_clock::now() >= deadline_) {
    throw Error(Code::kTimeout, overdue_);
  }
}

void WorkerLink::wait_for(short events) const {
  std::array<pollfd, 2> polled{
      pollfd{socket_.get(), events, 0},
      pollfd{cancellation_ != nullptr ? cancellation_->wake_fd() : -1, POLLIN, 0}};
  int timeout_ms = -1;
  if (deadline_ != Deadline::max()) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline_ - std::chrono::steady_clock::now());
    timeout_ms = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
  }
  if (::poll(polled.data(), polled.size(), timeout_ms) < 0 && errno != EINTR) {
    throw io_error("wait for", "a worker", errno);
  }
  // Whatever woke us, the caller tries again and looks at its limits first.
}

void WorkerLink::throw_farewell() {
  for (;;) {
    auto frame = receive_frame();  // throws at the end of what the worker left
    if (frame.kind == kJson) parse_message(frame.payload);
  }
}

}  // namespace mcpu
