#include "client/render.hpp"

#include <doctest/doctest.h>

#include <ctime>

#include "proto/message_catalogue.hpp"
#include "tests/environment_fixture.hpp"

namespace mcpu::render_test {

namespace {

/// The time zone of this test, whatever the machine's is.
struct Zone {
  explicit Zone(const char* name) : variables(test::Values{{"TZ", name}}) { ::tzset(); }
  test::Variables variables;
};

Event event_of(const std::string& id, const nlohmann::json& fields, const std::string& text) {
  Event event;
  event.id = id;
  event.fields = fields;
  event.text = text;
  event.time = parse_time("2026-01-31T23:30:00.000000Z");
  return event;
}

std::string plain(const Event& event) { return event_line(event, Paint(false)); }

}  // namespace

TEST_CASE("an event is one line with local time and tier") {
  const Zone zone("UTC-2");
  Event event = event_of("future.message", {}, "something new");
  event.tier = Tier::kWarning;
  CHECK(plain(event) == "[2026-02-01 01:30:00] [WARNING] something new");
  CHECK(event_line(event, Paint(true)) ==
        "[2026-02-01 01:30:00] [\x1b[33mWARNING\x1b[0m] something new");
}

TEST_CASE("known ids are rendered from their fields, unknown ones and private ones from the text") {
  const Event known = event_of("rollback.target", {{"release", "1.2-abc"}}, "stored");
  CHECK(event_message(known) == render_message("rollback.target", {{"release", "1.2-abc"}}));
  CHECK(event_message(event_of("rollback.target", nlohmann::json::object(), "stored")) == "stored");
  CHECK(event_message(event_of("of.the.future", {{"a", 1}}, "stored")) == "stored");
  CHECK(event_message(event_of("event.private", nlohmann::json::object(), "stored")) == "stored");
  // An event of before its template had a further field.
  CHECK(event_message(event_of("check.failed", {{"check", "a"}, {"reason", "b"}}, "stored")) ==
        "stored");
}

TEST_CASE("what a check printed can neither control the terminal nor look like a line of ours") {
  const Zone zone("UTC");
  const Event event = event_of(
      "check.output",
      {{"check", "c"}, {"for", ""}, {"output", "a\x1b[2Jb\r\n[2026] [ERROR] forged\n"}}, "");
  const std::string line = plain(event);
  CHECK(line.find('\x1b') == std::string::npos);
  CHECK(line.find('\r') == std::string::npos);
  CHECK(line.find("a\\x1b[2Jb\\x0d\n    [2026] [ERROR] forged") != std::string::npos);
  CHECK(line.back() != '\n');
}

TEST_CASE("printable text keeps what is readable and escapes what is not") {
  CHECK(printable("grüße 你好 ❌") == "grüße 你好 ❌");
  CHECK(printable("a\tb") == "a    b");
  CHECK(printable("\x7f") == "\\x7f");
  CHECK(printable("\xC2\x9B") == "\\x9b");                 // C1: CSI
  CHECK(printable("x\xE2\x80\xAE\x79") == "x\\u{202e}y");  // turns the direction of writing
  CHECK(printable("bad\xff\xC0\xAF") == "bad\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(printable(std::string("\0", 1)) == "\\x00");
}

TEST_CASE("wide characters take two columns, and text is cut between characters") {
  CHECK(columns("abc") == 3);
  CHECK(columns("你好") == 4);
  CHECK(columns("e\xCC\x81") == 1);
  CHECK(shortened("abcdef", 6) == "abcdef");
  CHECK(shortened("abcdefg", 6) == "abcde…");
  CHECK(shortened("你好吗", 5) == "你好…");
  CHECK(shortened("你好吗", 4) == "你…");
}

TEST_CASE("a table is aligned by columns, and leaves out what is empty everywhere") {
  CHECK(table({{"NAME", "EMPTY", "N"}, {"你好", "", "1"}, {"abcdef", "", "22"}}, Paint(false)) ==
        "NAME    N\n你好    1\nabcdef  22\n");
  CHECK(table({{"A"}, {"x\ny"}}, Paint(false)) == "A\nx\\x0ay\n");
}

TEST_CASE("progress is a bar with numbers, as wide as there is room") {
  const Event event =
      event_of("stage.progress", {{"done", 50}, {"total", 100}, {"bytes", 1'500'000}}, "");
  CHECK(is_progress(event));
  CHECK(progress_line(event, 80) ==
        "[############............] 50 %  50 of 100 files staged, 1.5 MB");
  CHECK(columns(progress_line(event, 20)) == 20);
  CHECK(progress_line(event_of("source.fetching", {{"done", 7}}, ""), 80).find("7 of 0") !=
        std::string::npos);
}

TEST_CASE("times are told the way people do") {
  const TimePoint now = parse_time("2026-01-31T12:00:00.000000Z");
  const auto ago = [&](std::chrono::seconds seconds) { return relative_time(now - seconds, now); };
  CHECK(ago(std::chrono::seconds(3)) == "just now");
  CHECK(ago(std::chrono::seconds(60)) == "60 seconds ago");
  CHECK(ago(std::chrono::minutes(10)) == "10 minutes ago");
  CHECK(ago(std::chrono::hours(5)) == "5 hours ago");
  CHECK(ago(std::chrono::hours(72)) == "3 days ago");
  CHECK(relative_time(now + std::chrono::hours(3), now) == "in 3 hours");
  CHECK(local_time(std::string_view("not a time\n")) == "not a time\\x0a");
}

}  // namespace mcpu::render_test
