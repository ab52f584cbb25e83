#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "daemon/cancellation.hpp"
#include "daemon/unique_fd.hpp"

namespace mcpu {

using Deadline = std::chrono::steady_clock::time_point;

/// Pieces in which contents travel, one in a frame at most, and are hashed.
inline constexpr std::size_t kPieceBytes = 256 * 1024;

/// One end of the socket pair between the daemon and a worker: frames of JSON or of raw bytes, each
/// with a length prefix. Both ends use this class; what arrives is treated as hostile: every frame
/// is bounded, JSON nested deeper than 32 is refused, and an unexpected kind, a closed link or the
/// deadline throws. Descriptors are never taken over: to close one of a file system that hangs
/// would hang the daemon. One thread.
class WorkerLink {
 public:
  static constexpr std::size_t kMaxFrameBytes = 1 << 20;
  static constexpr unsigned kMaxDepth = 32;
  /// What a frame starts with: its kind, then the payload's size, least significant byte first.
  using Header = std::array<char, 5>;
  static constexpr char kJson = 'J';
  static constexpr char kBytes = 'B';
  static Header header(char kind, std::size_t payload_bytes);

  explicit WorkerLink(UniqueFd socket) : socket_(std::move(socket)) {}

  /// Every send and receive after this fails with Error{kTimeout} when `deadline` has passed, and
  /// with Error{kCancelled} as soon as `cancellation` (may be null; not owned) is requested.
  /// `overdue` is what the former says: only who waits knows for what, and what to do next.
  void limit(Deadline deadline, const Cancellation* cancellation,
             std::string overdue = "a worker did not finish in time and was stopped");

  /// Waits for the next frame. False: the other end has closed the link, and nothing is left to
  /// read. Fails as receive() does when a limit is reached.
  bool await_frame();
  /// Whether the other end is still there and has sent nothing that was not read. Does not wait.
  bool is_quiet() const;

  /// If the other end has gone, the error it left behind is thrown, as by receive().
  void send(const nlohmann::json& message);
  void send_bytes(std::string_view bytes);

  /// The next frame, which must be JSON (an object). `{"error": {...}}` sent by send_error is
  /// thrown as the Error it was. Error{kWorker} for anything malformed or the end of the link.
  nlohmann::json receive();
  /// The next frame, which must be bytes; an error frame is thrown here too.
  std::string receive_bytes();

  /// The worker's way to report a failure: receive() on the other side throws it. Only codes that
  /// say something about the work are taken over there; others become kWorker.
  void send_error(const class Error& error);

  int descriptor() const { return socket_.get(); }

 private:
  struct Frame;
  Frame receive_frame();
  void send_frame(char kind, std::string_view payload);
  void read_exactly(char* buffer, std::size_t size);
  void check_limits() const;
  void wait_for(short events) const;
  [[noreturn]] void throw_farewell();

  UniqueFd socket_;
  Deadline deadline_ = Deadline::max();
  const Cancellation* cancellation_ = nullptr;
  std::string overdue_;
};

}  // namespace mcpu
