#include "proto/codec.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "proto/error.hpp"

namespace mcpu::codec_test {

using namespace std::string_literals;
using nlohmann::json;

namespace {

/// Why a decoder refuses these bytes; empty if it does not.
std::string refusal(std::string_view bytes, std::size_t max_bytes = 1000) {
  FrameDecoder decoder(max_bytes, 32);
  decoder.append(bytes);
  try {
    while (decoder.next()) {
    }
    return "";
  } catch (const Error& error) {
    CHECK(error.code() == Code::kInvalidRequest);
    return error.context().at("reason");
  }
}

std::string nested(std::size_t depth) {
  return "{\"a\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}\0"s;
}

}  // namespace

TEST_CASE("frames come out whole however the bytes are cut") {
  const std::string stream = encode_frame({{"n", 1}}) + encode_frame({{"n", 2}});
  FrameDecoder decoder(100, 8);
  std::vector<json> frames;
  for (const char byte : stream) {
    decoder.append({&byte, 1});
    while (auto frame = decoder.next()) frames.push_back(*frame);
  }
  CHECK(frames == std::vector<json>{{{"n", 1}}, {{"n", 2}}});
  CHECK(decoder.buffered() == 0);
}

TEST_CASE("several frames in one read come out in order, the unfinished one later") {
  FrameDecoder decoder(100, 8);
  decoder.append(encode_frame({{"n", 1}}) + encode_frame({{"n", 2}}) + "{\"n\"");
  CHECK(decoder.next()->at("n") == 1);
  CHECK(decoder.next()->at("n") == 2);
  CHECK_FALSE(decoder.next().has_value());
  decoder.append(":3}\0"s);
  CHECK(decoder.next()->at("n") == 3);
}

TEST_CASE("a frame over the bound is refused before its end was seen, and never buffered") {
  FrameDecoder decoder(1000, 32);
  std::size_t fed = 0;
  bool refused = false;
  while (!refused && fed < 100'000'000) {
    const std::string bytes(decoder.room(), 'x');
    decoder.append(bytes);
    fed += bytes.size();
    try {
      decoder.next();
    } catch (const Error&) {
      refused = true;
    }
  }
  CHECK(refused);
  CHECK(fed <= 1001);
}

TEST_CASE("a frame of just the bound is taken") {
  CHECK(refusal("{\"a\":\"" + std::string(92, 'x') + "\"}\0"s, 100) == "");
  CHECK(refusal("{\"a\":\"" + std::string(93, 'x') + "\"}\0"s, 100) == "is longer than 100 bytes");
}

TEST_CASE("nesting is bounded, brackets inside of strings do not count") {
  CHECK(refusal(nested(32)) == "");
  CHECK(refusal(nested(33)) == "nests deeper than 32 levels");
  CHECK(refusal(nested(400)) == "nests deeper than 32 levels");
  CHECK(refusal("{\"a\":\"\\\"" + std::string(100, '[') + "\"}\0"s) == "");
}

TEST_CASE("invalid UTF-8, invalid JSON and other values than objects are refused") {
  CHECK(refusal("{\"a\":\"\xc3\x28\"}\0"s) == "is not valid UTF-8");
  CHECK(refusal("{\"a\":\"\xff\"}\0"s) == "is not valid UTF-8");
  CHECK(refusal("{\"a\":\0"s) == "is not valid JSON");
  CHECK(refusal("\0"s) == "is not valid JSON");
  CHECK(refusal("{}}\0"s) == "is not valid JSON");
  CHECK(refusal("[1]\0"s) == "must be a JSON object");
  CHECK(refusal("null\0"s) == "must be a JSON object");
}

TEST_CASE("a call and a reply survive the wire") {
  Call call;
  call.method = "dev.mcplocal.Upgrade.Watch";
  call.parameters = {{"job", 3}};
  call.more = true;
  CHECK(to_json(call_from_json(to_json(call))) == to_json(call));
  Reply reply{{{"job", 3}}, true, ""};
  CHECK(to_json(reply_from_json(to_json(reply))) == to_json(reply));
  reply = {{{"what", "job 9"}}, false, "dev.mcplocal.Upgrade.NotFound"};
  CHECK(to_json(reply_from_json(to_json(reply))) == to_json(reply));
}

TEST_CASE("a malformed call names what is wrong with it") {
  const auto blamed = [](const json& call) -> std::string {
    try {
      call_from_json(call);
      return "";
    } catch (const Error& error) {
      return error.context().at("field");
    }
  };
  CHECK(blamed(json::object()) == "method");
  CHECK(blamed({{"method", 1}}) == "method");
  CHECK(blamed({{"method", "a.B"}, {"parameters", json::array()}}) == "parameters");
  CHECK(blamed({{"method", "a.B"}, {"more", "yes"}}) == "more");
  CHECK(blamed({{"method", "a.B"}, {"parameters", nullptr}, {"later", 1}}) == "");
}

TEST_CASE("foreign bytes never break an encoder") {
  CHECK(encode_frame({{"a", "\xff"}}) == "{\"a\":\"\xEF\xBF\xBD\"}\0"s);
}

}  // namespace mcpu::codec_test
