#include "daemon/check_judge.hpp"

#include <cerrno>

#include "proto/error.hpp"

namespace mcpu {

nlohmann::json CheckedUser::with(nlohmann::json fields) const {
  fields["user"] = name;
  fields["for"] = suffix();
  return fields;
}

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
  std::vector<Failure> settled, open;
  for (const Failure& failure : first_run(specs, fresh)) {
    (failed_before(failure) ? settled : open).push_back(failure);
  }
  for (const Failure& failure : run_again(open, fresh, old)) settled.push_back(failure);
  Verdict verdict;
  for (const Failure& failure : settled) {
    const Verdict one = weigh(failure, fresh);
    if (!one.passed && (verdict.passed || (one.regression && !verdict.regression))) verdict = one;
  }
  return verdict;
}

std::vector<CheckJudge::Failure> CheckJudge::first_run(const std::vector<CheckSpec>& specs,
                                                       const CheckTarget& fresh) {
  std::vector<CheckRun> runs;
  for (const CheckSpec& spec : specs) runs.push_back(bind(spec, fresh));
  const std::vector<CheckResult> results = run_(runs);
  std::vector<Failure> failures;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (results[i].passed) {
      tell_passed(results[i]);
    } else {
      failures.push_back({&specs[i], results[i]});
    }
  }
  return failures;
}

std::vector<CheckJudge::Failure> CheckJudge::run_again(const std::vector<Failure>& failures,
                                                       const CheckTarget& fresh,
                                                       const std::optional<CheckTarget>& old) {
  if (failures.empty()) return {};
  std::vector<CheckRun> runs;
  for (const Failure& failure : failures) {
    show(failure.result, Tier::kWarning, "check.failed");
    log_.emit_about(user_.uid, Tier::kInfo, "check.repeating",
                    user_.with({{"check", failure.spec->name}}));
    runs.push_back(bind(*failure.spec, fresh));
  }
  for (const Failure& failure : failures) {
    const bool known = baseline_.contains(failure.spec->name);
    const bool comparable = old && old->programs.contains(failure.spec->entry);
    if (comparable && !known) runs.push_back(bind(*failure.spec, *old));
  }
  const std::vector<CheckResult> results = run_(runs);
  for (std::size_t i = failures.size(); i < results.size(); ++i) {
    baseline_[results[i].name] = results[i];
  }
  std::vector<Failure> again;
  for (std::size_t i = 0; i < failures.size(); ++i) {
    if (results[i].passed) {
      tell_passed(results[i]);
    } else {
      again.push_back({failures[i].spec, results[i]});
    }
  }
  return again;
}

bool CheckJudge::failed_before(const Failure& failure) const {
  const auto before = baseline_.find(failure.spec->name);
  return before != baseline_.end() && !failure.spec->essential && !before->second.passed &&
         !failure.result.fails_worse_than(before->second);
}

Verdict CheckJudge::weigh(const Failure& failure, const CheckTarget& fresh) {
  const CheckSpec& spec = *failure.spec;
  const CheckResult& result = failure.result;
  if (fresh.foreign && result.start_error == EACCES) {
    show(result, Tier::kWarning, "check.closed");
    return {};
  }
  const auto before = baseline_.find(spec.name);
  const bool known = before != baseline_.end();
  if (known && (before->second.passed || (!spec.essential && !failed_before(failure)))) {
    show_regression(result, before->second);
    // A check that ran out of time may be the machine's fault: the job fails, the release is not
    // denied.
    return {false, !result.timed_out, spec.name, result.reason};
  }
  if (spec.essential) {
    show(result, Tier::kError, "check.failed");
    return {false, false, spec.name, result.reason};
  }
  show(result, Tier::kWarning, known ? "check.failed_before" : "check.warning");
  return {};
}

void CheckJudge::show_regression(const CheckResult& result, const CheckResult& before) {
  if (before.passed) return show(result, Tier::kError, "check.regression");
  CheckResult both = result;
  both.reason += " (with the old release: " + before.reason + ")";
  show(both, Tier::kError, "check.worse");
}

void CheckJudge::tell_passed(const CheckResult& result) {
  log_.emit_about(user_.uid, Tier::kInfo, "check.passed",
                  user_.with({{"check", result.name}, {"milliseconds", result.duration.count()}}));
}

void CheckJudge::show(const CheckResult& result, Tier tier, const char* id) {
  log_.emit_about(user_.uid, tier, id,
                  user_.with({{"check", result.name}, {"reason", result.reason}}));
  if (result.output.empty()) return;
  log_.emit_about(user_.uid, Tier::kDebug, "check.output",
                  user_.with({{"check", result.name}, {"output", result.output}}));
}

}  // namespace mcpu
