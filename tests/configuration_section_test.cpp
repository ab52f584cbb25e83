#include "daemon/configuration_section.hpp"

#include <doctest/doctest.h>

#include "proto/error.hpp"

namespace mcpu::configuration_section_test {

using namespace std::chrono_literals;

namespace {

const std::string kFile = "c.json";

/// What reading `text` with `read` is refused for, without the file's name.
std::string refusal(const std::string& text, const std::function<void(Section&)>& read) {
  const Setting root = read_settings(text, kFile);
  try {
    Section section(root, kFile);
    read(section);
    section.finish();
  } catch (const Error& error) {
    return std::string(error.what()).substr(kFile.size() + 1);
  }
  return "accepted";
}

}  // namespace

TEST_CASE("a mistyped key is answered with the one that was meant") {
  bool flag = false;
  const auto read = [&](Section& section) {
    section.boolean("essential", flag);
    section.boolean("other", flag);
  };
  CHECK(refusal("{\n\"essentail\": true}", read) ==
        "2: /essentail: is not a known key; did you mean \"essential\"?");
  CHECK(refusal("{\"colour\": true}", read) ==
        "1: /colour: is not a known key; known here: essential, other");
}

TEST_CASE("a value of another type is refused with both types") {
  std::string target;
  CHECK(refusal(R"({"a": 7})", [&](Section& section) { section.text("a", target); }) ==
        "1: /a: must be a string, not a whole number");
  CHECK(refusal("[]", [](Section&) {}) == "1: must be an object, not a list");
}

TEST_CASE("whole numbers keep their bounds however large they are written") {
  const auto read = [](Section& section) { section.whole("n", 5, 1, 10); };
  CHECK(refusal(R"({"n": 10})", read) == "accepted");
  CHECK(refusal(R"({"n": -1})", read) == "1: /n: must be at least 1");
  CHECK(refusal(R"({"n": 11})", read) == "1: /n: must be at most 10");
  CHECK(refusal(R"({"n": 99999999999999999999})", read) == "1: /n: must be at most 10");
  CHECK(refusal(R"({"n": 1.5})", read) == "1: /n: must be a whole number, not a fraction");
}

TEST_CASE("a deadline may have a fraction but not be zero") {
  std::chrono::milliseconds deadline{0};
  const auto read = [&](Section& section) { section.deadline("d", deadline); };
  CHECK(refusal(R"({"d": 0.25})", read) == "accepted");
  CHECK(deadline == 250ms);
  CHECK(refusal(R"({"d": 0})", read) == "1: /d: must be more than 0");
  CHECK(refusal(R"({"d": 3601})", read) == "1: /d: must be at most 3600");
}

TEST_CASE("a text that is in a list twice is refused where it stands again") {
  std::vector<std::string> names;
  CHECK(refusal("{\"l\": [\"a\",\n\"b\",\n\"a\"]}", [&](Section& section) {
          section.distinct_texts("l", names);
        }) == "3: /l/2: \"a\" is given twice; remove one of the two");
}

TEST_CASE("the nearest name is one with at most two slips") {
  const std::vector<std::string> names{"source", "services", "users"};
  CHECK(nearest_name("sorce", names) == "source");
  CHECK(nearest_name("usres", names) == "users");
  CHECK(nearest_name("ab", names) == "");
  CHECK(nearest_name(std::string(10'000, 's'), names) == "");
}

}  // namespace mcpu::configuration_section_test
