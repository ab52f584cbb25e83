#include "proto/codec.hpp"

#include <set>
#include <vector>

#include "proto/json_depth.hpp"
#include "proto/parameters.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

/// Finds the first name that an object has twice. The parser would take the last of them, other
/// readers the first: whoever looked at the request may have seen another one. Members that the
/// parser calls have the names it prescribes; returning false ends it.
class DuplicateFinder {
 public:
  bool null() { return true; }
  bool boolean(bool) { return true; }
  bool number_integer(std::int64_t) { return true; }
  bool number_unsigned(std::uint64_t) { return true; }
  bool number_float(double, const std::string&) { return true; }
  bool string(const std::string&) { return true; }
  bool binary(const std::vector<std::uint8_t>&) { return true; }
  bool start_object(std::size_t) { return open_.emplace_back(), true; }
  bool end_object() { return open_.pop_back(), true; }
  bool start_array(std::size_t) { return true; }
  bool end_array() { return true; }
  bool key(const std::string& name) {
    if (open_.back().insert(name).second) return true;
    found = name;
    return false;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception&) {
    return false;
  }

  std::optional<std::string> found;

 private:
  std::vector<std::set<std::string>> open_;  ///< the names so far of each object that is open
};

void refuse_duplicates(std::string_view text) {
  constexpr std::size_t kShownBytes = 64;
  DuplicateFinder finder;
  nlohmann::json::sax_parse(text, &finder);
  if (!finder.found) return;
  throw invalid_parameter(
      "request", "has \"" + escape_path(finder.found->substr(0, kShownBytes)) + "\" twice");
}

nlohmann::json parse_frame(std::string_view text, std::size_t max_depth) {
  if (deeper_than(text, max_depth)) {
    throw invalid_parameter("request",
                            "nests deeper than " + std::to_string(max_depth) + " levels");
  }
  if (text.starts_with("\xEF\xBB\xBF")) {
    throw invalid_parameter("request", "starts with a byte order mark");
  }
  nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded()) {
    const bool foreign = to_utf8(text) != text;
    throw invalid_parameter("request", foreign ? "is not valid UTF-8" : "is not valid JSON");
  }
  if (!json.is_object()) throw invalid_parameter("request", "must be a JSON object");
  refuse_duplicates(text);
  return json;
}

/// An object among the members of a call or reply; an empty one if it is absent or null.
nlohmann::json object_member(const nlohmann::json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return nlohmann::json::object();
  if (!found->is_object()) throw invalid_parameter(key, "must be an object");
  return *found;
}

}  // namespace

std::optional<nlohmann::json> FrameDecoder::next() {
  const std::size_t end = buffer_.find('\0', begin_ + scanned_);
  const std::size_t length = (end == std::string::npos ? buffer_.size() : end) - begin_;
  if (length > max_frame_bytes_) {
    throw invalid_parameter("request",
                            "is longer than " + std::to_string(max_frame_bytes_) + " bytes");
  }
  if (end == std::string::npos) {
    scanned_ = length;
    drop_consumed();
    return std::nullopt;
  }
  nlohmann::json json = parse_frame(std::string_view(buffer_).substr(begin_, length), max_depth_);
  begin_ = end + 1;
  scanned_ = 0;
  return json;
}

void FrameDecoder::drop_consumed() {
  buffer_.erase(0, begin_);
  begin_ = 0;
  // One large request must not keep its memory for the whole life of a quiet connection.
  if (buffer_.empty() && buffer_.capacity() > 64 * 1024) buffer_.shrink_to_fit();
}

std::string encode_frame(const nlohmann::json& json) {
  std::string frame = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  frame.push_back('\0');
  return frame;
}

nlohmann::json to_json(const Call& call) {
  nlohmann::json json = {{"method", call.method}};
  if (!call.parameters.empty()) json["parameters"] = call.parameters;
  if (call.more) json["more"] = true;
  if (call.oneway) json["oneway"] = true;
  if (call.upgrade) json["upgrade"] = true;
  return json;
}

Call call_from_json(const nlohmann::json& json) {
  Parameters members(json);
  Call call;
  const std::optional<std::string> method = members.text("method", 256);
  if (!method) throw invalid_parameter("method", "is missing");
  call.method = *method;
  call.parameters = object_member(json, "parameters");
  call.more = members.flag("more");
  call.oneway = members.flag("oneway");
  call.upgrade = members.flag("upgrade");
  return call;
}

nlohmann::json to_json(const Reply& reply) {
  nlohmann::json json = {{"parameters", reply.parameters}};
  if (reply.continues) json["continues"] = true;
  if (!reply.error.empty()) json["error"] = reply.error;
  return json;
}

Reply reply_from_json(const nlohmann::json& json) {
  Parameters members(json);
  Reply reply;
  reply.parameters = object_member(json, "parameters");
  reply.continues = members.flag("continues");
  reply.error = members.text("error", 256).value_or("");
  return reply;
}

}  // namespace mcpu
