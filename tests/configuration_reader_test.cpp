#include "daemon/configuration_reader.hpp"

#include <doctest/doctest.h>

#include "proto/error.hpp"

namespace mcpu::configuration_reader_test {

namespace {

std::string refusal(const std::string& text) {
  try {
    read_settings(text, "c.json");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kConfig);
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("every setting knows its key and its line") {
  const Setting root = read_settings(
      "// a comment\n"
      "{\n"
      "  \"a/b\": [1,\n"
      "    22\n"
      "  ],\n"
      "  /* two\n lines */ \"c\":\n"
      "    \"text\"\n"
      "}\n",
      "c.json");
  REQUIRE(root.elements.size() == 2);
  const Setting& list = root.elements[0];
  CHECK(list.key == "/a~1b");
  CHECK(list.line == 3);
  REQUIRE(list.elements.size() == 2);
  CHECK(list.elements[0].line == 3);
  CHECK(list.elements[1].key == "/a~1b/1");
  CHECK(list.elements[1].line == 4);
  CHECK(list.elements[1].integer == 22);
  CHECK(root.elements[1].line == 7);
  CHECK(root.elements[1].text == "text");
}

TEST_CASE("a key that is given twice is refused with both lines") {
  CHECK(refusal("{\n\"a\": {\n\"b\": 1,\n\"c\": 2,\n\"b\": 3}}") ==
        "c.json:5: /a/b: is given twice, first in line 3; remove one of the two");
}

TEST_CASE("the same key in two objects is no duplicate") {
  CHECK(refusal(R"({"a": {"x": 1}, "b": {"x": 1}})") == "accepted");
}

TEST_CASE("a syntax error names its line and what was expected") {
  const std::string text = refusal("{\n\"a\": 1,\n}\n");
  CHECK(text.starts_with("c.json:3: syntax error"));
  CHECK(text.find("expected string literal") != std::string::npos);
}

TEST_CASE("an empty file, a cut one and text behind the end are syntax errors") {
  CHECK(refusal("").starts_with("c.json:1: syntax error"));
  CHECK(refusal("{\"a\": [1,").find("syntax error") != std::string::npos);
  CHECK(refusal("{} {}").find("syntax error") != std::string::npos);
}

TEST_CASE("bytes that are not UTF-8 and NUL characters are refused") {
  CHECK(refusal("{\"a\": \"\xff\"}").find("UTF-8") != std::string::npos);
  CHECK(refusal("{\"a\": \"x\\u0000y\"}") == "c.json:1: /a: must not contain a NUL character");
}

TEST_CASE("a thousand nested lists are refused at the sixteenth") {
  CHECK(refusal("{\"a\": " + std::string(1000, '[')).find("nested too deeply") !=
        std::string::npos);
}

TEST_CASE("a file of more than a megabyte is refused") {
  CHECK(refusal(std::string(kMaxConfigurationBytes + 1, ' ')).find("is larger than") !=
        std::string::npos);
}

TEST_CASE("a line break in a key stays on the message's line") {
  const std::string text = refusal("{\"a\\nb\": 1, \"a\\nb\": 2}");
  CHECK(text.find('\n') == std::string::npos);
  CHECK(text.starts_with("c.json:1: /a\\x0ab: is given twice"));
}

}  // namespace mcpu::configuration_reader_test
