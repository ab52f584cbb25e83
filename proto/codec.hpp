#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace mcpu {

/// Cuts a byte stream into Varlink's frames (JSON objects, each ended by a NUL byte) and parses
/// them. What comes in is hostile: no frame is buffered beyond its bound, parsed when nested too
/// deeply, or taken when it is not valid UTF-8. For one thread; both sides of the wire use it.
class FrameDecoder {
 public:
  FrameDecoder(std::size_t max_frame_bytes, std::size_t max_depth)
      : max_frame_bytes_(max_frame_bytes), max_depth_(max_depth) {}

  /// Takes bytes in. Feed at most `room()` at a time and call next() until it is empty.
  void append(std::string_view bytes) { buffer_ += bytes; }
  /// The next whole frame; empty when more bytes are needed. Throws Error{kInvalidRequest, {field:
  /// "request", reason}} for a frame that is too long, too deep, not UTF-8, not JSON, no object, or
  /// has a name twice or a byte order mark;
  /// after that the stream is of no use any more.
  std::optional<nlohmann::json> next();
  /// Bytes not given out yet.
  std::size_t buffered() const { return buffer_.size() - begin_; }
  /// How many bytes to read at most, so that little more than one frame is ever held.
  std::size_t room() const {
    return buffered() > max_frame_bytes_ ? 0 : max_frame_bytes_ + 1 - buffered();
  }

 private:
  void drop_consumed();

  std::size_t max_frame_bytes_;
  std::size_t max_depth_;
  std::string buffer_;
  std::size_t begin_ = 0;    ///< where the unread part starts
  std::size_t scanned_ = 0;  ///< from `begin_` to here there is no NUL
};

/// One frame: the JSON and its NUL. Bytes that are not UTF-8 become U+FFFD.
std::string encode_frame(const nlohmann::json& json);

/// A method call as Varlink defines it.
struct Call {
  std::string method;  ///< interface and method: "dev.mcplocal.Upgrade.Status"
  nlohmann::json parameters = nlohmann::json::object();
  bool more = false;     ///< several replies are welcome
  bool oneway = false;   ///< no reply is wanted
  bool upgrade = false;  ///< the connection changes its protocol after the reply: we never do
};

nlohmann::json to_json(const Call& call);
/// Throws Error{kInvalidRequest, {field, reason}}. Unknown members are ignored, as Varlink wants
/// it, so that later versions of the protocol can add some.
Call call_from_json(const nlohmann::json& json);

/// A reply: parameters, or an error's name and parameters.
struct Reply {
  nlohmann::json parameters = nlohmann::json::object();
  bool continues = false;  ///< more replies to the same call follow
  std::string error;       ///< fully qualified; empty: no error
};

nlohmann::json to_json(const Reply& reply);
/// Throws Error{kInvalidRequest, {field, reason}} for something that is no reply.
Reply reply_from_json(const nlohmann::json& json);

}  // namespace mcpu
