#pragma once

#include "client/arguments.hpp"
#include "client/daemon_access.hpp"
#include "client/screen.hpp"
#include "proto/error.hpp"

namespace mcpu {

/// The exit code of who stops waiting for a job, which goes on.
inline constexpr int kExitInterrupted = 130;

/// What every command has at hand. Commands return the exit code, and throw Error for anything that
/// is not an answer.
struct Session {
  const Arguments& arguments;
  Screen& screen;
  DaemonAccess& daemon;

  /// "mcpctl --user": reaches the same instance again when pasted into a shell.
  std::string mcpctl() const;
  /// Parameters that name the application, if one was named.
  nlohmann::json app_parameters() const;
  /// A reply as one JSON line.
  void print_json(const nlohmann::json& reply);
};

/// Runs the command that was asked for.
int run_command(Session& session);

/// upgrade, rollback, check, repair
int run_job_command(Session& session);
/// cancel, pin, unpin, hold, unhold
int run_mark_command(Session& session);
/// logs, watch
int run_log_command(Session& session);
/// status, jobs, releases, config show
int run_report_command(Session& session);
/// config validate: runs the daemon's program, which reads the file and says what is wrong with it;
/// no daemon takes part. Throws Error{kConfig} for a file that is not valid.
int validate_configuration(const Arguments& arguments, Screen& screen);

/// mcpctl's exit code for an error.
int exit_code(const Error& error);
/// An error as a person reads it: what the daemon says has no times, they are shown as local ones.
std::string error_text(const Error& error);
/// An error as --json shows it: {error, message} and its parameters.
nlohmann::json error_json(const Error& error);

}  // namespace mcpu
