#include "daemon/release_health.hpp"

#include <doctest/doctest.h>

#include <cerrno>

#include "tests/job_story.hpp"

namespace mcpu::release_health_test {

namespace {

struct Remembering {
  Machine machine{upgraded_machine()};
  StateStore state{machine.fs(), machine.layout()};
  std::string id = release_of(machine, "1.0.0");

  void remember(const std::string& release, const std::string& damage) {
    remember_compared(state, machine.store(), "app", {{release, damage}});
  }
  const std::map<std::string, Health>& health() const {
    return state.get()->application("app").health;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Remembering, "damage is remembered, and forgotten when the release is whole") {
  remember(id, "lib/part content differs");
  CHECK_FALSE(health().at(id).passed);
  CHECK(health().at(id).summary == "lib/part content differs");
  remember(id, "");
  CHECK(health().at(id).passed);
}

TEST_CASE_FIXTURE(Remembering, "what is no news is not written") {
  const auto calls = machine.fs().changing_calls();
  remember(id, "");
  CHECK(machine.fs().changing_calls() == calls);
  remember(id, "damaged");
  const auto more = machine.fs().changing_calls();
  CHECK(more > calls);
  remember(id, "damaged");
  CHECK(machine.fs().changing_calls() == more);
}

TEST_CASE_FIXTURE(Remembering, "of a release that is gone nothing is remembered") {
  remember("0.9.0-aaaaaaaaaaaa", "missing");
  CHECK_FALSE(health().contains("0.9.0-aaaaaaaaaaaa"));
}

TEST_CASE_FIXTURE(Remembering, "what status compared is remembered") {
  const nlohmann::json status{
      {"applications",
       {{{"app", "app"},
         {"verified", {{"release", id}, {"damaged", nlohmann::json::array({"lib/part"})}}}}}}};
  remember_verified(state, machine.fs(), machine.layout(), status);
  CHECK_FALSE(health().at(id).passed);
}

TEST_CASE_FIXTURE(Remembering, "a state that cannot be written is no reason to fail") {
  machine.fs().fail_at(machine.fs().changing_calls() + 1, ENOSPC, UINT32_MAX);
  CHECK_NOTHROW(remember(id, "damaged"));
}

}  // namespace mcpu::release_health_test
