#pragma once

#include <optional>
#include <string>

#include "daemon/job_finisher.hpp"
#include "daemon/job_planner.hpp"

namespace mcpu {

/// Brings what a dead daemon left to the state before its job or after it. Job thread only, except
/// that pending() may be copied by the owner under its own lock.
class Recovery {
 public:
  Recovery(const JobEnvironment& environment, StateStore& state, EventLog& events)
      : environment_(environment), state_(state), events_(events) {}

  /// The job in the journal; empty when there is none. A damaged journal is set aside, and `damage`
  /// says what to do. Throws Error{kIo} for one that cannot be read at present.
  std::optional<JobId> find(std::string& damage);
  /// Finishes or undoes it. Returns why something is still pending; empty: done, the journal is
  /// gone. Never throws.
  std::optional<Error> run();
  /// Ends the records of jobs up to `last` that were waiting or had changed nothing yet when the
  /// daemon died, and removes half-built and half-removed releases. REQUIRES: no journal.
  void tidy(JobId last);

 private:
  std::optional<Error> recover();
  void lock_homes(StepContext& context);
  void open_daemon_log();

  const JobEnvironment& environment_;
  StateStore& state_;
  EventLog& events_;
};

}  // namespace mcpu
