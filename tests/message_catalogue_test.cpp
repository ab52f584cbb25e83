#include "proto/message_catalogue.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace mcpu::message_catalogue_test {

using nlohmann::json;

TEST_CASE("fields are put into the template of their message") {
  CHECK(render_message("activate.switched", {{"from", "1.3.9-aa"}, {"to", "1.3.11-bb"}}) ==
        "switched from 1.3.9-aa to 1.3.11-bb");
  CHECK(render_message("stage.reused", {{"files", 5000}}) ==
        "5000 unchanged files taken from the release before");
  CHECK(render_message("preflight.problem", {{"reason", json::array({"a", 2, "c"})}}) == "a, 2, c");
}

TEST_CASE("one thing is counted otherwise than several") {
  CHECK(render_message("stage.reused", {{"files", 1}}) ==
        "1 unchanged file taken from the release before");
  CHECK(render_message("source.worktree", {{"count", 1}, {"files", json::array({"a"})}}) ==
        "taking 1 file with differences from HEAD, as found: a");
}

TEST_CASE("a missing field stays visible") {
  CHECK(render_message("stage.reused", json::object()) ==
        "{files:unchanged file} taken from the release before");
  CHECK(render_message("phase.started", json::object()) == "{phase}");
}

TEST_CASE("a placeholder inside a field's text is not looked at again") {
  CHECK(
      render_message("check.output", {{"check", "{output}"}, {"output", "{check"}, {"for", ""}}) ==
      "output of {output}: {check");
}

TEST_CASE("an unknown id gives the id and the fields") {
  CHECK(render_message("no.such", {{"a", 1}}) == "no.such {\"a\":1}");
  CHECK(render_message("no.such", json::object()) == "no.such");
  CHECK(render_message("no.such", {{"a", "\xff"}}).starts_with("no.such"));
}

TEST_CASE("every id is listed once and has a well-formed template") {
  const auto ids = message_ids();
  CHECK(std::adjacent_find(ids.begin(), ids.end(), std::greater_equal<>()) == ids.end());
  for (const std::string_view id : ids) {
    const std::string_view text = message_template(id).value_or("");
    CHECK_FALSE(text.empty());
    CHECK(std::count(text.begin(), text.end(), '{') == std::count(text.begin(), text.end(), '}'));
  }
  CHECK_FALSE(message_template("").has_value());
}

}  // namespace mcpu::message_catalogue_test
