#include "daemon/session.hpp"

#include <algorithm>
#include <asio/buffer.hpp>
#include <system_error>
#include <utility>

#include "proto/error.hpp"

namespace mcpu {

namespace {

constexpr std::size_t kReadBytes = 16 * 1024;
/// What a stream has in flight at most, give or take a few events.
constexpr std::size_t kBatchBytes = 64 * 1024;
constexpr std::chrono::milliseconds kRetryAfter{2};

}  // namespace

Session::Session(Socket socket, Peer peer, bool stranger, SessionHost& host)
    : socket_(std::move(socket)),
      peer_(std::move(peer)),
      stranger_(stranger),
      host_(host),
      decoder_(host.limits().max_request_bytes, host.limits().max_json_depth),
      write_limit_(socket_.get_executor()),
      retry_(socket_.get_executor()) {}

void Session::start() {
  socket_.non_blocking(true);
  watch_for_hang_up();
  read();
}

void Session::read() {
  const std::size_t room = std::min(decoder_.room(), kReadBytes);
  if (reading_ || end_ || room == 0 || !socket_.is_open()) return;
  reading_ = true;
  // No buffer is held while a connection is quiet: first wait, then read what is there.
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](std::error_code error) {
    self->reading_ = false;
    if (error || !self->socket_.is_open()) return;
    const std::size_t wanted = std::min(self->decoder_.room(), kReadBytes);
    std::string bytes(wanted, '\0');
    const std::size_t got = self->socket_.read_some(asio::buffer(bytes), error);
    if (error == asio::error::would_block || error == asio::error::try_again) return self->read();
    bytes.resize(got);
    self->decoder_.append(bytes);
    self->end_ = static_cast<bool>(error);
    self->process();
  });
}

/// Tells a peer that is gone from one that has only finished sending and still wants its replies.
void Session::watch_for_hang_up() {
  socket_.async_wait(Socket::wait_error, [self = shared_from_this()](std::error_code error) {
    if (error) return;
    self->gone_ = true;
    if (self->stream_ && (self->end_ || !self->reading_)) self->close();
  });
}

void Session::process() {
  if (processing_) return;
  processing_ = true;
  while (!busy_ && !writing_ && socket_.is_open() && start_next_call()) {
  }
  processing_ = false;
  const bool idle = !busy_ && !writing_;
  if ((idle && (end_ || finishing_)) || (end_ && gone_ && stream_)) return close();
  read();
}

/// Takes the next call from what was read; false if there is no whole one.
bool Session::start_next_call() {
  try {
    const auto frame = decoder_.next();
    if (!frame || finishing_) return false;
    const Call call = call_from_json(*frame);
    busy_ = true;
    host_.run(make_task(host_.service(), call, peer_),
              [self = shared_from_this(), oneway = call.oneway](Answer answer) {
                self->answered(std::move(answer), oneway);
              });
  } catch (const Error& error) {
    // Where the next request would start is not known any more, or who sent this cannot write one.
    last_reply_ = true;
    send(error_reply(error));
  }
  return true;
}

void Session::answered(Answer answer, bool oneway) {
  if (answer.ticket) host_.limit_waiting(*answer.ticket);
  if (!socket_.is_open()) return;
  if (oneway) {
    busy_ = false;
    process();
  } else if (answer.stream) {
    stream_ = std::move(answer.stream);
    pump();
  } else {
    send(answer.reply);
  }
}

void Session::wake() {
  if (!waiting_ || writing_) return;  // What is being written is followed by another look.
  waiting_ = false;
  pump();
}

/// Lets the stream fill the buffer again. REQUIRES: nothing is being written.
void Session::pump() {
  const EventStream::State state = stream_->fill(out_, kBatchBytes);
  if (state == EventStream::State::kDone) stream_.reset();
  waiting_ = state == EventStream::State::kWaiting;
  if (!out_.empty()) return write();
  if (waiting_ && (finishing_ || gone_)) return close();
  if (state != EventStream::State::kRetry) return;
  retry_.expires_after(kRetryAfter);
  retry_.async_wait([self = shared_from_this()](std::error_code error) {
    if (!error && self->stream_ && !self->writing_) self->pump();
  });
}

void Session::send(const Reply& reply) {
  out_ += encode_frame(to_json(reply));
  write();
}

void Session::write() {
  writing_ = true;
  write_limit_.expires_after(host_.limits().unwritable);
  write_limit_.async_wait([self = shared_from_this()](std::error_code error) {
    // A timer set anew may have fired already: only the time that stands now counts.
    if (!error && self->write_limit_.expiry() <= std::chrono::steady_clock::now()) self->close();
  });
  const auto rest = asio::buffer(out_) + written_;
  socket_.async_write_some(rest,
                           [self = shared_from_this()](std::error_code error, std::size_t bytes) {
                             if (error) return self->close();
                             self->on_written(bytes);
                           });
}

void Session::on_written(std::size_t bytes) {
  written_ += bytes;
  if (written_ < out_.size()) return write();
  write_limit_.cancel();
  writing_ = false;
  written_ = 0;
  out_.clear();
  if (stream_) return pump();
  if (last_reply_) return close();
  busy_ = false;
  out_.shrink_to_fit();
  process();
}

void Session::finish() {
  finishing_ = true;
  if (!busy_ && !writing_) return close();
  wake();
}

void Session::close() {
  if (!socket_.is_open()) return;
  std::error_code ignored;
  socket_.close(ignored);
  write_limit_.cancel();
  retry_.cancel();
  stream_.reset();
  host_.closed(shared_from_this());
}

}  // namespace mcpu
