#include "proto/json_depth.hpp"

#include <doctest/doctest.h>

#include <string>

namespace mcpu::json_depth_test {

TEST_CASE("what nests exactly as deep as allowed is allowed") {
  CHECK_FALSE(deeper_than("[[[]]]", 3));
  CHECK(deeper_than("[[[[]]]]", 3));
  CHECK(deeper_than(R"({"a": [{"b": [1]}]})", 3));
  CHECK_FALSE(deeper_than("", 0));
}

TEST_CASE("neighbours do not add up, and brackets in strings do not count") {
  CHECK_FALSE(deeper_than("[[],[],[],[]]", 2));
  CHECK_FALSE(deeper_than(R"(["[[[[", "{{{{"])", 1));
  CHECK_FALSE(deeper_than(R"(["\"[[[["])", 1));
  CHECK(deeper_than(R"(["\\", [[1]]])", 2));
}

TEST_CASE("a text that closes more than it opens wins no depth by that") {
  CHECK(deeper_than("]]]][[[", 2));
  CHECK(deeper_than(std::string(100'000, '['), 64));
}

}  // namespace mcpu::json_depth_test
