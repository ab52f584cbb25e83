#include "proto/text.hpp"

#include <doctest/doctest.h>

#include "proto/error.hpp"

namespace mcpu::text_test {

namespace {

const std::string kReplacement = "\xEF\xBF\xBD";

TimePoint at(std::int64_t microseconds) {
  return TimePoint(std::chrono::microseconds(microseconds));
}

}  // namespace

TEST_CASE("valid UTF-8 stays as it is") {
  for (const std::string text : {"", "plain", "\xE4\xBD\xA0\xE5\xA5\xBD", "\xF0\x9F\x98\x80",
                                 "\xC2\x80", "\xED\x9F\xBF", "\xF4\x8F\xBF\xBF"}) {
    CHECK(to_utf8(text) == text);
    CHECK(escape_path(text) == text);
  }
}

TEST_CASE("GBK cut inside a character becomes replacement characters") {
  // "你好" in GBK without its last byte, between plain text.
  CHECK(to_utf8("[\xC4\xE3\xBA]") == "[" + kReplacement + kReplacement + kReplacement + "]");
}

TEST_CASE("UTF-8 cut inside a character, overlong or out of range is replaced byte by byte") {
  CHECK(to_utf8("a\xE4\xBD") == "a" + kReplacement + kReplacement);
  CHECK(to_utf8("\xC0\xAF") == kReplacement + kReplacement);
  CHECK(to_utf8("\xE0\x80\xAF") == kReplacement + kReplacement + kReplacement);
  CHECK(to_utf8("\xED\xA0\x80") == kReplacement + kReplacement + kReplacement);
  CHECK(to_utf8("\xF4\x90\x80\x80").size() == 4 * kReplacement.size());
  CHECK(to_utf8("\xE4z") == kReplacement + "z");
}

TEST_CASE("any bytes survive being escaped, and the escaped form is printable text") {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  for (const std::string& bytes :
       {all, std::string("a\\x41"), std::string("\xE4\xBD\xA0\xC4\xE3")}) {
    const std::string text = escape_path(bytes);
    CHECK(to_utf8(text) == text);
    CHECK(text.find('\n') == std::string::npos);
    CHECK(unescape_path(text) == bytes);
  }
  CHECK(escape_path("a\nb\\\x7F\xFF") == "a\\x0ab\\x5c\\x7f\\xff");
}

TEST_CASE("a malformed escape is refused") {
  for (const char* text : {"\\", "\\x", "\\x4", "\\xg0", "\\x4G", "\\n", "a\\x4"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(unescape_path(text), Error);
  }
}

TEST_CASE("a time survives being written as text") {
  for (const std::int64_t microseconds :
       {0LL, 123LL, 1'769'850'487'000'123LL, 951'782'400'000'000LL, 4'102'444'799'999'999LL}) {
    CHECK(parse_time(format_time(at(microseconds))) == at(microseconds));
  }
  CHECK(format_time(at(1'769'850'487'000'123)) == "2026-01-31T09:08:07.000123Z");
  const TimePoint time = now();
  CHECK(parse_time(format_time(time)) == time);
}

TEST_CASE("a time before the epoch is written and read as well") {
  CHECK(format_time(at(-1)) == "1969-12-31T23:59:59.999999Z");
  CHECK(parse_time("1969-12-31T23:59:59.999999Z") == at(-1));
}

TEST_CASE("text that is no such time is refused") {
  for (const char* text :
       {"", "2026-01-31", "2026-01-31T09:08:07Z", "2026-01-31T09:08:07.000123",
        "2026-02-30T09:08:07.000123Z", "2026-01-31T09:08:07.000123Z ", "2026-01-31T09:08:07.123Z",
        "2026-01-31T24:08:07.000123Z", "+026-01-31T09:08:07.000123Z", "0001-01-31T09:08:07.123Z",
        "2026-01-31T09:08:07.000123+00:00"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_time(text), Error);
  }
}

TEST_CASE("sizes are shown in decimal units") {
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(999) == "999 B");
  CHECK(format_bytes(1000) == "1.0 kB");
  CHECK(format_bytes(999'949) == "999.9 kB");
  CHECK(format_bytes(999'950) == "1.0 MB");
  CHECK(format_bytes(77'000'000) == "77.0 MB");
  CHECK(format_bytes(UINT64_MAX).ends_with(" TB"));
}

}  // namespace mcpu::text_test
