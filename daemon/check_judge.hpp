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
};

/// What the checks of one user came to.
struct Verdict {
  bool passed = true;
  bool regression = false;  ///< the old release passes what the new one fails: it is denied
  std::string check;        ///< the first that failed
  std::string reason;
};

/// Judges a release by its checks against the one before: section «Baseline» of DESIGN.md.
/// Job thread only.
class CheckJudge {
 public:
  using Run = std::function<std::vector<CheckResult>(const std::vector<CheckRun>&)>;
  /// `uid`: whom the output concerns.
  CheckJudge(Run run, JobLog& log, std::uint32_t uid)
      : run_(std::move(run)), log_(log), uid_(uid) {}

  /// Runs the checks on the fresh release; one that fails is repeated once, then run on the old one
  /// (empty: a first installation, where only essential checks count).
  Verdict judge(const std::vector<CheckSpec>& specs, const CheckTarget& fresh,
                const std::optional<CheckTarget>& old);

 private:
  Verdict judge_failure(const CheckSpec& spec, CheckResult result, const CheckTarget& fresh,
                        const std::optional<CheckTarget>& old);
  CheckResult run_one(const CheckSpec& spec, const CheckTarget& target);
  void show(const CheckResult& result, Tier tier, const char* id);

  Run run_;
  JobLog& log_;
  std::uint32_t uid_;
};

/// Binds a check to a release.
CheckRun bind(const CheckSpec& spec, const CheckTarget& target);

}  // namespace mcpu
