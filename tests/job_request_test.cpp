#include "proto/job_request.hpp"

#include <doctest/doctest.h>

#include "proto/error.hpp"

namespace mcpu::job_request_test {

using nlohmann::json;

namespace {

std::string blamed(JobKind kind, const json& parameters) {
  try {
    job_request_from_json(kind, parameters);
    return "";
  } catch (const Error& error) {
    CHECK(error.code() == Code::kInvalidRequest);
    return error.context().at("field");
  }
}

}  // namespace

TEST_CASE("an upgrade without parameters is a quick one of the default application") {
  const JobRequest request = job_request_from_json(JobKind::kUpgrade, json::object());
  CHECK(request.app.empty());
  CHECK(request.mode == Mode::kQuick);
  CHECK_FALSE(request.force);
  CHECK_FALSE(request.wait.has_value());
}

TEST_CASE("every parameter of every kind survives the wire") {
  const json upgrade = {{"app", "tool"},      {"mode", "full"},  {"force", true},
                        {"unattended", true}, {"to", "v1.3.11"}, {"from", "https://host/r.git"},
                        {"request_id", "a1"}, {"wait", 0}};
  CHECK(to_json(job_request_from_json(JobKind::kUpgrade, upgrade)) == upgrade);
  const json worktree = {{"mode", "quick"}, {"worktree", true}, {"no_wait", true}};
  CHECK(to_json(job_request_from_json(JobKind::kUpgrade, worktree)) == worktree);
  const json rollback = {{"to", "before"}, {"configs", "never"}};
  CHECK(to_json(job_request_from_json(JobKind::kRollback, rollback)) == rollback);
  const json check = {{"deep", true}};
  CHECK(to_json(job_request_from_json(JobKind::kCheck, check)) == check);
}

TEST_CASE("a parameter of another kind is unknown") {
  CHECK(blamed(JobKind::kCheck, {{"force", true}}) == "force");
  CHECK(blamed(JobKind::kRollback, {{"from", "/tmp/x"}}) == "from");
  CHECK(blamed(JobKind::kUpgrade, {{"configs", "auto"}}) == "configs");
  CHECK(blamed(JobKind::kUpgrade, {{"deep", true}}) == "deep");
}

TEST_CASE("wrong and contradicting parameters are refused by name") {
  CHECK(blamed(JobKind::kUpgrade, {{"mode", "slow"}}) == "mode");
  CHECK(blamed(JobKind::kUpgrade, {{"wait", -1}}) == "wait");
  CHECK(blamed(JobKind::kUpgrade, {{"wait", 1e9}}) == "wait");
  CHECK(blamed(JobKind::kUpgrade, {{"to", ""}}) == "to");
  CHECK(blamed(JobKind::kUpgrade, {{"from", std::string(5000, 'x')}}) == "from");
  CHECK(blamed(JobKind::kUpgrade, {{"wait", 3}, {"no_wait", true}}) == "no_wait");
  CHECK(blamed(JobKind::kUpgrade, {{"worktree", true}, {"to", "v1"}}) == "worktree");
  CHECK(blamed(JobKind::kRollback, {{"configs", true}}) == "configs");
}

TEST_CASE("the same work is recognized whoever asks and however long they wait") {
  JobRequest a, b;
  b.request_id = "x";
  b.wait = std::chrono::seconds(1);
  b.no_wait = true;
  CHECK(same_work(a, b));
  b.to = "v2";
  CHECK_FALSE(same_work(a, b));
  b = a;
  b.app = "other";
  CHECK_FALSE(same_work(a, b));
}

TEST_CASE("a result comes back from its stored form, a damaged one is reported") {
  const JobResult result{Outcome::kNotRestored, "look at it", {{"from", "1"}}};
  CHECK(to_json(job_result_from_json(to_json(result))) == to_json(result));
  CHECK_THROWS_AS(job_result_from_json({{"outcome", "fine"}, {"message", ""}}), Error);
  CHECK_THROWS_AS(job_result_from_json({{"outcome", 3}}), Error);
  CHECK_THROWS_AS(job_result_from_json("done"), Error);
}

TEST_CASE("exit codes are the documented ones") {
  CHECK(exit_code(Outcome::kDone) == 0);
  CHECK(exit_code(Outcome::kNothingToDo) == 0);
  CHECK(exit_code(Outcome::kFailed) == 1);
  CHECK(exit_code(Outcome::kRefused) == 1);
  CHECK(exit_code(Outcome::kCancelled) == 1);
  CHECK(exit_code(Outcome::kExpired) == 3);
  CHECK(exit_code(Outcome::kNotRestored) == 6);
  for (int i = 0; i <= static_cast<int>(Outcome::kNotRestored); ++i) {
    CHECK(outcome_from(outcome_name(static_cast<Outcome>(i))) == static_cast<Outcome>(i));
  }
}

}  // namespace mcpu::job_request_test
