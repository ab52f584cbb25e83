#pragma once

#include <optional>
#include <string>

#include "daemon/denied_releases.hpp"
#include "daemon/job_log.hpp"
#include "daemon/job_record.hpp"
#include "daemon/release_store.hpp"
#include "daemon/state_store.hpp"

namespace mcpu {

/// A release that an upgrade found, and what it would replace.
struct Candidate {
  const JobRequest& request;
  const ReleaseInfo& fresh;
  std::optional<ReleaseInfo> current;  ///< empty: no release of ours stands
  bool in_place;                       ///< it is `current`, whole, and its commands lead to it
};

/// Whether a release is taken.
struct Weighed {
  std::optional<JobResult> early;  ///< set: it is not, and that is no failure
  std::string clear_denied;        ///< digest whose mark a commit clears
};

/// Weighs a release against what is current, the holds and pauses that people set, the last
/// rollback, and earlier failures. What an unattended request leaves out is a result; what a person
/// is to decide is Error{kRefused}. Job thread.
Weighed weigh_release(const Candidate& candidate, const ApplicationState& state,
                      const DeniedReleases& denied, JobLog& log);

}  // namespace mcpu
