#include "daemon/check_judge.hpp"

#include "proto/error.hpp"

namespace mcpu {

CheckRun bind(const CheckSpec& spec, const CheckTarget& target) {
  const auto program = target.programs.find(spec.entry);
  if (program == target.programs.end()) {
    throw Error(Code::kConfig, "check " + spec.name + " names entry point '" + spec.entry +
                                   "', which the application does not have");
  }
  return {spec.name,        program->second, spec.arguments, target.environment,
          target.directory, spec.deadline,   spec.forbid,    spec.accept};
}

Verdict CheckJudge::judge(const std::vector<CheckSpec>& specs, const CheckTarget& fresh,
                          const std::optional<CheckTarget>& old) {
  std::vector<CheckRun> runs;
  for (const CheckSpec& spec : specs) runs.push_back(bind(spec, fresh));
  const std::vector<CheckResult> results = run_(runs);
  Verdict verdict;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (results[i].passed) {
      log_.emit_about(uid_, Tier::kInfo, "check.passed",
                      {{"check", specs[i].name}, {"milliseconds", results[i].duration.count()}});
      continue;
    }
    const Verdict one = judge_failure(specs[i], results[i], fresh, old);
    if (!one.passed && (verdict.passed || (one.regression && !verdict.regression))) verdict = one;
  }
  return verdict;
}

Verdict CheckJudge::judge_failure(const CheckSpec& spec, CheckResult result,
                                  const CheckTarget& fresh, const std::optional<CheckTarget>& old) {
  show(result, Tier::kWarning, "check.failed");
  log_.emit_about(uid_, Tier::kInfo, "check.repeating", {{"check", spec.name}});
  result = run_one(spec, fresh);
  if (result.passed) {
    log_.emit_about(uid_, Tier::kInfo, "check.passed",
                    {{"check", spec.name}, {"milliseconds", result.duration.count()}});
    return {};
  }
  const Verdict failed{false, false, spec.name, result.reason};
  if (!old) {
    if (spec.essential) {
      show(result, Tier::kError, "check.failed");
      return failed;
    }
    show(result, Tier::kWarning, "check.warning");
    return {};
  }
  const CheckResult before = run_one(spec, *old);
  const bool worse = !spec.essential && result.fails_worse_than(before);
  if (before.passed || worse) {
    show(result, Tier::kError, "check.regression");
    // A check that ran out of time may be the machine's fault: the job fails, the release is not
    // denied.
    return {false, !result.timed_out, spec.name, result.reason};
  }
  if (spec.essential) {
    show(result, Tier::kError, "check.failed");
    return failed;
  }
  show(result, Tier::kWarning, "check.failed_before");
  return {};
}

CheckResult CheckJudge::run_one(const CheckSpec& spec, const CheckTarget& target) {
  return run_({bind(spec, target)}).at(0);
}

void CheckJudge::show(const CheckResult& result, Tier tier, const char* id) {
  log_.emit_about(uid_, tier, id, {{"check", result.name}, {"reason", result.reason}});
  if (result.output.empty()) return;
  log_.emit_about(uid_, Tier::kDebug, "check.output",
                  {{"check", result.name}, {"output", result.output}});
}

}  // namespace mcpu
