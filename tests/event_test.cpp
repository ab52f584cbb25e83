#include "proto/event.hpp"

#include <doctest/doctest.h>

#include "proto/error.hpp"

namespace mcpu::event_test {

namespace {

Event sample() {
  Event event;
  event.job = 7;
  event.number = 3;
  event.time = parse_time("2026-01-31T09:08:07.000123Z");
  event.tier = Tier::kWarning;
  event.phase = Phase::kMidCheck;
  event.id = "check.output";
  event.fields = {{"check", "help"}, {"output", "secret of a home"}};
  event.text = "output of help: secret of a home";
  event.concerns = 1000;
  event.last = true;
  return event;
}

bool is_corrupt(const nlohmann::json& json) {
  try {
    event_from_json(json);
    return false;
  } catch (const Error& error) {
    return error.code() == Code::kCorrupt;
  }
}

}  // namespace

TEST_CASE("an event comes back from its stored form unchanged") {
  const nlohmann::json stored = to_json(sample());
  CHECK(to_json(event_from_json(stored)) == stored);
  CHECK(stored.dump().find('\n') == std::string::npos);
}

TEST_CASE("what an event does not have is not stored") {
  Event event = sample();
  event.concerns.reset();
  event.last = false;
  const nlohmann::json stored = to_json(event);
  CHECK_FALSE(stored.contains("concerns"));
  CHECK_FALSE(stored.contains("last"));
  CHECK_FALSE(event_from_json(stored).concerns.has_value());
}

TEST_CASE("a stored event with a missing or wrong member is reported as damage") {
  for (const char* key : {"job", "number", "time", "tier", "phase", "id", "fields", "text"}) {
    nlohmann::json json = to_json(sample());
    json[key] = nlohmann::json::array();
    CHECK_MESSAGE(is_corrupt(json), key);
    json.erase(key);
    CHECK_MESSAGE(is_corrupt(json), key);
  }
  CHECK(is_corrupt("text"));
  CHECK(is_corrupt(nullptr));
}

TEST_CASE("without details nothing of a home is left, but the line keeps its place") {
  Event end = sample();
  end.fields["public"] = "something failed";
  CHECK(without_details(end).text == "something failed");
  CHECK(without_details(end).fields.empty());
  const Event reduced = without_details(sample());
  CHECK(to_json(reduced).dump().find("secret") == std::string::npos);
  CHECK(to_json(reduced).dump().find("help") == std::string::npos);
  CHECK(reduced.job == 7);
  CHECK(reduced.number == 3);
  CHECK(reduced.tier == Tier::kWarning);
  CHECK(reduced.phase == Phase::kMidCheck);
  CHECK(reduced.last);
}

TEST_CASE("every tier and phase is found again by its name") {
  for (const Tier tier :
       {Tier::kDebug, Tier::kInfo, Tier::kSuccess, Tier::kWarning, Tier::kError}) {
    CHECK(tier_from(tier_name(tier)) == tier);
  }
  for (int i = 0; i <= static_cast<int>(Phase::kRecovery); ++i) {
    CHECK(phase_from(phase_name(static_cast<Phase>(i))) == static_cast<Phase>(i));
  }
  CHECK(tier_from("warning") == Tier::kWarning);
  CHECK_FALSE(tier_from("loud").has_value());
  CHECK_FALSE(phase_from("").has_value());
}

}  // namespace mcpu::event_test
