#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/job_log.hpp"
#include "daemon/plan.hpp"

namespace mcpu {

/// What decides about the users of a system-mode job.
struct UserFacts {
  std::vector<std::string> configured;     ///< `users` of the configuration
  std::vector<std::string> required;       ///< `required_users`
  std::optional<std::uint32_t> owner;      ///< of the adopted checkout, or of a local source
  std::optional<std::uint32_t> login_uid;  ///< who logged in and asked
};

/// Whose configuration files a job looks after and as whom it checks: the configured users, else
/// the installation's owner, else (root is never checked as unless configured) who logged in and
/// asked, else kCheckAccount, with a warning. `required_users` are always among them; without any,
/// the owner is required. Where nobody would be, kCheckAccount is added: what does not even start
/// must fail somebody's check. Those who may fail the job come first. A user that is not there is
/// Error{kRefused} if required, else a warning. Looks names up: job thread.
std::vector<ManagedUser> managed_users(const UserFacts& facts, JobLog& log);

}  // namespace mcpu
