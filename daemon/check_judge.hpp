#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/check.hpp"
#include "daemon/job_log.hpp"

namespace mcpu {

/// Where a check finds the programs it runs: one release, seen from one home.
struct CheckTarget {
  std::map<std::string, std::string> programs;  ///< absolute path by entry point's name
  std::map<std::string, std::string>
      environment;        ///< the release's, HOME included if it is a scratch one
  std::string directory;  ///< working directory
  bool foreign = false;   ///< what no job of ours made: it may be closed to the user
};

/// What the checks of one user came to.
struct Verdict {
  bool passed = true;
  bool regression = false;  ///< the old release passes what the new one fails: it is denied
  std::string check;        ///< the first that failed
  std::string reason;
};

/// Whom checks run as, as their events name it.
struct CheckedUser {
  std::uint32_t uid = 0;  ///< whom the output concerns
  std::string name;
  bool alone = true;  ///< nobody else is checked in this job: texts need not say who it was

  /// " for anna" where texts need to say whose check it was, else nothing.
  std::string suffix() const { return alone ? "" : " for " + name; }
  /// The fields of an event about one of this user's checks.
  nlohmann::json with(nlohmann::json fields) const;
};

/// How the old release did, by the check's name: only checks that the new one failed.
using Baseline = std::map<std::string, CheckResult>;

/// Judges a release by its checks against the one before: section «Baseline» of DESIGN.md. One
/// thread at a time.
class CheckJudge {
 public:
  using Run = std::function<std::vector<CheckResult>(const std::vector<CheckRun>&)>;
  /// `known`: what an earlier judge of this job asked the old release; it is not asked again.
  CheckJudge(Run run, JobLog& log, CheckedUser user, Baseline known = {})
      : run_(std::move(run)), log_(log), user_(std::move(user)), baseline_(std::move(known)) {}

  /// Runs the checks on the fresh release. Those that fail are run once more, and on the old one
  /// (empty: there is none that runs, so that only essential checks count), all side by side.
  Verdict judge(const std::vector<CheckSpec>& specs, const CheckTarget& fresh,
                const std::optional<CheckTarget>& old);
  const Baseline& baseline() const { return baseline_; }

 private:
  struct Failure {
    const CheckSpec* spec;
    CheckResult result;
  };
  std::vector<Failure> first_run(const std::vector<CheckSpec>& specs, const CheckTarget& fresh);
  std::vector<Failure> run_again(const std::vector<Failure>& failures, const CheckTarget& fresh,
                                 const std::optional<CheckTarget>& old);
  Verdict weigh(const Failure& failure, const CheckTarget& fresh);
  bool failed_before(const Failure& failure) const;
  void show_regression(const CheckResult& result, const CheckResult& before);
  void tell_passed(const CheckResult& result);
  void show(const CheckResult& result, Tier tier, const char* id);

  Run run_;
  JobLog& log_;
  CheckedUser user_;
  Baseline baseline_;
};

/// Binds a check to a release.
CheckRun bind(const CheckSpec& spec, const CheckTarget& target);

}  // namespace mcpu
