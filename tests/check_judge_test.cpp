#include "daemon/check_judge.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <deque>

#include "proto/error.hpp"
#include "proto/message_catalogue.hpp"

namespace mcpu::check_judge_test {

namespace {

CheckResult result(bool passed, const std::string& reason = "exit code 2") {
  CheckResult one;
  one.passed = passed;
  one.exit_code = passed ? 0 : 2;
  if (!passed) one.reason = reason;
  return one;
}

CheckResult timed_out() {
  CheckResult one = result(false, "took longer than 10 s");
  one.timed_out = true;
  one.output = "half an answ";
  return one;
}

CheckSpec spec(const std::string& name, bool essential = false) {
  CheckSpec one;
  one.name = name;
  one.entry = "app";
  one.arguments = {name};
  one.essential = essential;
  return one;
}

const CheckTarget kFresh{{{"app", "/new/app"}}, {{"HOME", "/scratch"}}, "/scratch", false};
const CheckTarget kOld{{{"app", "/old/app"}}, {}, "/scratch", false};

/// Answers runs in order, and remembers what was run.
struct Script {
  Verdict judge(const std::vector<CheckSpec>& specs, const std::optional<CheckTarget>& old) {
    CheckJudge judge([this](const std::vector<CheckRun>& runs) { return answer(runs); }, log,
                     {7, "anna", alone}, baseline);
    const Verdict verdict = judge.judge(specs, fresh, old);
    baseline = judge.baseline();
    return verdict;
  }
  std::vector<CheckResult> answer(const std::vector<CheckRun>& runs) {
    std::vector<CheckResult> results;
    batches.push_back(runs.size());
    for (const CheckRun& run : runs) {
      ran.push_back(run.program + " " + run.name);
      REQUIRE_FALSE(answers.empty());
      results.push_back(answers.front());
      results.back().name = run.name;
      answers.pop_front();
    }
    return results;
  }
  std::string text(const std::string& id) const {
    for (const Notice& one : log.collected()) {
      if (one.id == id) return render_message(one.id, one.fields);
    }
    return "";
  }
  bool told(const std::string& id) const {
    return std::ranges::any_of(log.collected(), [&](const Notice& one) { return one.id == id; });
  }

  std::deque<CheckResult> answers;
  std::vector<std::string> ran;
  JobLog log;
  CheckTarget fresh = kFresh;
  Baseline baseline = {};
  std::vector<std::size_t> batches = {};
  bool alone = true;
};

}  // namespace

TEST_CASE("a healthy release pays for each check once") {
  Script script{{result(true), result(true)}, {}, {}};
  const Verdict verdict = script.judge({spec("help", true), spec("status")}, kOld);
  CHECK(verdict.passed);
  CHECK(script.ran == std::vector<std::string>{"/new/app help", "/new/app status"});
  CHECK(script.told("check.passed"));
}

TEST_CASE("events name the user where there are several") {
  for (const bool alone : {true, false}) {
    Script script{{result(true), result(false), result(false), result(true)}, {}, {}};
    script.alone = alone;
    CHECK_FALSE(script.judge({spec("help"), spec("status")}, kOld).passed);
    const std::string whom = alone ? "" : " for anna";
    CHECK(script.text("check.failed") == "check status failed" + whom + ": exit code 2");
    CHECK(script.text("check.passed") == "check help passed in 0 ms" + whom);
    CHECK(script.text("check.repeating") == "check status failed" + whom + "; trying it once more");
    CHECK(script.text("check.regression") ==
          "check status passed with the old release and fails with the new one" + whom +
              ": exit code 2");
    CHECK(script.log.collected().front().fields.at("user") == "anna");
  }
}

TEST_CASE("a check that passes when it is repeated has passed") {
  Script script{{result(false), result(true), result(true)}, {}, {}};
  CHECK(script.judge({spec("status")}, kOld).passed);
  CHECK(script.told("check.repeating"));
}

TEST_CASE("what the old release passes is a regression") {
  Script script{{result(false), result(false, "exit code 3"), result(true)}, {}, {}};
  const Verdict verdict = script.judge({spec("status")}, kOld);
  CHECK_FALSE(verdict.passed);
  CHECK(verdict.regression);
  CHECK(verdict.check == "status");
  CHECK(verdict.reason == "exit code 3");
  CHECK(script.ran.back() == "/old/app status");
  CHECK(script.told("check.regression"));
}

TEST_CASE("what the old release fails too is a warning") {
  Script script{{result(false), result(false), result(false)}, {}, {}};
  CHECK(script.judge({spec("status")}, kOld).passed);
  CHECK(script.told("check.failed_before"));
}

TEST_CASE("what is known to have failed before is not run again, unless it fails worse now") {
  Script script{{result(false), result(false), result(false)}, {}, {}};
  REQUIRE(script.judge({spec("status")}, kOld).passed);
  script.answers = {result(false)};
  CHECK(script.judge({spec("status")}, kOld).passed);
  CHECK(script.answers.empty());
  script.answers = {timed_out(), timed_out()};
  CHECK_FALSE(script.judge({spec("status")}, kOld).passed);
  CHECK(script.told("check.worse"));
  CHECK_FALSE(script.told("check.regression"));
}

TEST_CASE("failed checks are run again side by side, on both releases") {
  Script script{{result(false), result(true), result(false)}, {}, {}};
  script.answers.insert(script.answers.end(), 4, result(false));
  CHECK(script.judge({spec("a"), spec("b"), spec("c")}, kOld).passed);
  CHECK(script.batches == std::vector<std::size_t>{3, 4});
}

TEST_CASE("an essential check that the old release fails too fails the job, not the release") {
  Script script{{result(false), result(false), result(false)}, {}, {}};
  const Verdict verdict = script.judge({spec("help", true)}, kOld);
  CHECK_FALSE(verdict.passed);
  CHECK_FALSE(verdict.regression);
}

TEST_CASE("a check that ran out of time fails the job, not the release") {
  Script script{{timed_out(), timed_out(), result(true)}, {}, {}};
  const Verdict verdict = script.judge({spec("status")}, kOld);
  CHECK_FALSE(verdict.passed);
  CHECK_FALSE(verdict.regression);
  CHECK(script.told("check.output"));
}

TEST_CASE("on a first installation only essential checks count") {
  Script lenient{{result(false), result(false)}, {}, {}};
  CHECK(lenient.judge({spec("status")}, std::nullopt).passed);
  CHECK(lenient.told("check.warning"));
  Script strict{{result(false), result(false)}, {}, {}};
  const Verdict verdict = strict.judge({spec("help", true)}, std::nullopt);
  CHECK_FALSE(verdict.passed);
  CHECK_FALSE(verdict.regression);
}

TEST_CASE("what is not ours may be closed to a user, a release may not") {
  CheckResult closed = result(false, "cannot be started: Permission denied");
  closed.start_error = EACCES;
  for (const bool foreign : {true, false}) {
    Script script;
    script.fresh.foreign = foreign;
    script.answers = {closed, closed};
    CHECK(script.judge({spec("--help", true)}, std::nullopt).passed == foreign);
    CHECK(script.told("check.closed") == foreign);
  }
}

TEST_CASE("a regression is the verdict, whatever failed before it") {
  Script script{
      {timed_out(), result(false), timed_out(), result(false), result(true), result(true)}, {}, {}};
  const Verdict verdict = script.judge({spec("slow"), spec("status")}, kOld);
  CHECK(verdict.regression);
  CHECK(verdict.check == "status");
}

TEST_CASE("a check is bound to the release's program, environment and directory") {
  CheckSpec one = spec("status");
  one.forbid = {"Traceback"};
  one.accept = {0, 3};
  const CheckRun run = bind(one, kFresh);
  CHECK(run.program == "/new/app");
  CHECK(run.environment.at("HOME") == "/scratch");
  CHECK(run.directory == "/scratch");
  CHECK(run.forbid == one.forbid);
  CHECK(run.accept == one.accept);
  one.entry = "other";
  CHECK_THROWS_WITH_AS(
      bind(one, kFresh),
      "check status names entry point 'other', which the application does not have", Error);
}

}  // namespace mcpu::check_judge_test
