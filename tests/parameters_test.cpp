#include "proto/parameters.hpp"

#include <doctest/doctest.h>

#include <functional>

namespace mcpu::parameters_test {

using nlohmann::json;

namespace {

/// The field that a reader complains about; empty if it does not.
std::string blamed(const json& object, const std::function<void(Parameters&)>& read) {
  try {
    Parameters parameters(object);
    read(parameters);
    parameters.finish();
    return "";
  } catch (const Error& error) {
    CHECK(error.code() == Code::kInvalidRequest);
    CHECK_FALSE(error.context().at("reason").get<std::string>().empty());
    return error.context().at("field");
  }
}

}  // namespace

TEST_CASE("values of the right type are read and absent ones are empty") {
  const json object = {{"deep", true}, {"wait", 30}, {"to", "v1.2"}, {"mode", "full"}};
  Parameters parameters(object);
  CHECK(parameters.flag("deep"));
  CHECK(parameters.integer("wait", 0, 60) == 30);
  CHECK(parameters.text("to", 10) == "v1.2");
  CHECK(parameters.choice("mode", {"quick", "full"}) == 1);
  CHECK_FALSE(parameters.flag("force"));
  CHECK_FALSE(parameters.integer("limit", 0, 1).has_value());
  CHECK_FALSE(parameters.text("from", 1).has_value());
  CHECK(parameters.app().empty());
  parameters.finish();
}

TEST_CASE("null is the same as absent, for a member and for the whole object") {
  CHECK(blamed({{"to", nullptr}}, [](Parameters& p) { CHECK_FALSE(p.text("to", 9)); }) == "");
  CHECK(blamed(nullptr, [](Parameters&) {}) == "");
}

TEST_CASE("a wrong type names the field") {
  const auto flag = [](Parameters& p) { p.flag("f"); };
  const auto integer = [](Parameters& p) { p.integer("n", 1, 10); };
  const auto text = [](Parameters& p) { p.text("t", 10); };
  CHECK(blamed({{"f", 1}}, flag) == "f");
  CHECK(blamed({{"f", "true"}}, flag) == "f");
  CHECK(blamed({{"n", "3"}}, integer) == "n");
  CHECK(blamed({{"n", 3.5}}, integer) == "n");
  CHECK(blamed({{"n", true}}, integer) == "n");
  CHECK(blamed({{"t", 3}}, text) == "t");
  CHECK(blamed({{"t", json::array()}}, text) == "t");
  CHECK(blamed(json::array(), [](Parameters&) {}) == "parameters");
}

TEST_CASE("an impossible value names the field") {
  const auto integer = [](Parameters& p) { p.integer("n", 1, 10); };
  const auto text = [](Parameters& p) { p.text("t", 10); };
  for (const json& number : {json(0), json(-1), json(11), json(1e300), json(UINT64_MAX)}) {
    CHECK(blamed({{"n", number}}, integer) == "n");
  }
  for (const char* value : {"", "longer than ten", "line\nbreak", "\x1b[31m"}) {
    CHECK(blamed({{"t", value}}, text) == "t");
  }
  CHECK(blamed({{"t", std::string("a\0b", 3)}}, text) == "t");
  CHECK(blamed({{"m", "fast"}}, [](Parameters& p) { p.choice("m", {"quick"}); }) == "m");
  for (const char* app : {"../etc", ".hidden", "a/b"}) {
    CHECK(blamed({{"app", app}}, [](Parameters& p) { p.app(); }) == "app");
  }
}

TEST_CASE("an unknown key is an error that names it, shortened and harmless") {
  CHECK(blamed({{"forse", true}}, [](Parameters& p) { p.flag("force"); }) == "forse");
  CHECK(blamed({{"\x1b[2J", true}}, [](Parameters&) {}) == "\\x1b[2J");
  CHECK(blamed({{std::string(1000, 'k'), 1}}, [](Parameters&) {}).size() == 64);
}

}  // namespace mcpu::parameters_test
