#include "daemon/preflight.hpp"

#include <algorithm>
#include <regex>

#include "daemon/durable.hpp"
#include "daemon/obstacle.hpp"
#include "daemon/old_scripts.hpp"
#include "daemon/version.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

/// Journal, events, snapshots and records of one job, generously.
constexpr std::uint64_t kJobBytes = 4 << 20;

/// The nearest directory of a path that exists.
std::string existing_parent(FileSystem& fs, std::string path) {
  while (path.size() > 1 && !fs.info(path)) path = parent_path(path);
  return path;
}

/// What somebody can do about a directory for links that cannot be written.
std::string way_to_write(const JobEnvironment& environment, const PreparedJob& job,
                         const std::string& directory) {
  const std::string setting = "set applications." + job.app->name + ".entry_points to another one";
  if (environment.user_mode) return "give yourself the right to write there, or " + setting;
  return "if it is not on a read-only file system, add ReadWritePaths=" + escape_path(directory) +
         " with 'systemctl edit mcp-upgraded', or " + setting;
}

/// The directory a path's links lead to, so that rights are those of the real one.
void check_link_directory(const JobEnvironment& environment, const PreparedJob& job,
                          const EntryPoint& entry) {
  FileSystem& fs = environment.tools.fs;
  const std::string directory = existing_parent(fs, parent_path(entry.link));
  const auto info = fs.info(directory);
  if (info && info->type == FileType::kFile) {
    throw refused(escape_path(directory) + " is not a directory: it must hold the link " +
                  escape_path(entry.link));
  }
  if (!fs.writable(directory) || fs.space(directory).read_only) {
    throw refused("cannot write " + escape_path(directory) + ", where the link " +
                  escape_path(entry.link) +
                  " belongs: " + way_to_write(environment, job, directory));
  }
}

void check_state_directory(const JobEnvironment& environment, const PreparedJob& job) {
  FileSystem& fs = environment.tools.fs;
  const std::string& state = environment.tools.layout.state;
  if (!fs.writable(state)) throw refused("cannot write the state directory " + escape_path(state));
  const SpaceInfo space = fs.space(state);
  if (space.no_exec) {
    throw refused(
        "the state directory " + escape_path(state) +
        " is on a file system mounted noexec: programs cannot run from there; choose another "
        "one with --state-dir");
  }
  const std::uint64_t needed = required_bytes(job);
  if (space.free_bytes < needed) {
    throw refused(
        "not enough space for " + escape_path(state) + ": " + format_bytes(space.free_bytes) +
        " free, " + format_bytes(needed) +
        " needed for the release and the way back; free some, or remove old releases with "
        "smaller retention");
  }
}

/// What is about to be replaced must be this application, or nothing.
void check_entry_points(const JobEnvironment& environment, const PreparedJob& job) {
  for (const EntryPoint& entry : job.app->entry_points) {
    const std::string reason = obstacle(environment.tools, *job.app, entry);
    if (!reason.empty()) throw refused(reason);
  }
}

/// What MCP Local Manager was upgraded by before, from the checkout that was adopted.
void check_old_scripts(const JobEnvironment& environment, const PreparedJob& job, JobLog& log,
                       const Cancellation* cancellation) {
  const Tools& tools = environment.tools;
  const std::string checkout =
      entry_points_of(environment, *job.app).checkout(tools.layout.adoption(job.app->name));
  if (checkout.empty()) return;
  std::vector<std::uint32_t> uids{0};
  for (const ManagedUser& user : job.plan.users) uids.push_back(user.who.uid);
  std::vector<OldScript> runs = running_old_scripts(checkout, uids);
  if (runs.empty() && !environment.user_mode) {
    runs = hidden_old_scripts(tools.processes, checkout, uids, cancellation);
  }
  if (!runs.empty()) throw refused(runs.front().problem());
  for (const std::string& lock : old_script_locks(tools.fs)) {
    log.warning("preflight.old_lock", {{"path", lock}});
  }
}

void warn_if_shadowed(const JobEnvironment& environment, const PreparedJob& job, JobLog& log) {
  if (!environment.user_mode) return;
  for (const EntryPoint& entry : job.app->entry_points) {
    const std::string first = first_on_path(environment.tools.fs, entry.name);
    if (first == entry.link || first.empty()) continue;
    log.warning(
        "path.shadowed",
        {{"link", escape_path(entry.link)}, {"by", escape_path(first)}, {"fix", path_line(entry)}});
  }
}

/// Runs a requirement's program the way checks are run.
CheckRun run_of(const Requirement& requirement) {
  CheckRun run;
  run.name = requirement.program;
  run.program = "/usr/bin/env";
  run.arguments = {requirement.program};
  run.arguments.insert(run.arguments.end(), requirement.arguments.begin(),
                       requirement.arguments.end());
  run.directory = "/";
  return run;
}

/// What is missing for a requirement, from what its program printed; empty: nothing.
std::string missing_for(const Requirement& requirement, const CheckResult& result) {
  if (!result.passed) {
    return "'" + requirement.program + "', which does not run here (" + result.reason + ")";
  }
  static const std::regex kNumber("[0-9]+(\\.[0-9]+)+");
  std::smatch found;
  const bool readable = std::regex_search(result.output, found, kNumber);
  const auto present = readable ? parse_version(found.str()) : std::nullopt;
  const auto minimum = parse_version(requirement.minimum);
  if (!present || !minimum || *minimum <= *present) return "";
  return requirement.program + " " + requirement.minimum + " or newer (here it is " + found.str() +
         ")";
}

void check_requirements(const JobEnvironment& environment, const PreparedJob& job,
                        const Cancellation* cancellation) {
  const std::vector<Requirement>& requirements = job.app->requirements;
  std::vector<CheckRun> runs;
  for (const Requirement& requirement : requirements) runs.push_back(run_of(requirement));
  const Identity who = job.plan.users.empty() ? own_identity() : job.plan.users.front().who;
  const auto results = Checker(environment.tools.processes, who).run(runs, 1, cancellation);
  std::string missing;
  for (std::size_t i = 0; i < requirements.size(); ++i) {
    const std::string one = missing_for(requirements[i], results.at(i));
    if (!one.empty()) missing += (missing.empty() ? "" : ", and ") + one;
  }
  if (!missing.empty()) throw refused(job.app->name + " needs " + missing);
}

void check_thoroughly(const JobEnvironment& environment, const PreparedJob& job, JobLog& log,
                      const Cancellation* cancellation) {
  if (!job.app->requirements.empty()) check_requirements(environment, job, cancellation);
  for (const ManagedUser& user : job.plan.users) {
    if (user.homeless) continue;
    Home home(environment.tools.processes, user.who, job.app->files);
    home.limit(std::chrono::steady_clock::now() + environment.configuration->limits.home,
               cancellation);
    try {
      for (const std::string& problem : home.parse()) {
        log.emit_about(user.who.uid, Tier::kWarning, "preflight.problem", {{"reason", problem}});
      }
    } catch (const Error& error) {
      // Whether this fails the job is decided where the files are saved.
      if (error.code() == Code::kCancelled) throw;
      log.emit_about(user.who.uid, Tier::kWarning, "preflight.problem", {{"reason", error.what()}});
    }
  }
}

/// Every configured service must be there to be restarted; a user's manager that does not run has
/// nothing to restart, unless that user is the only one there is. What a user has who may fail no
/// job is left to the step, which tells of it.
void check_services(const JobEnvironment& environment, const PreparedJob& job,
                    const Cancellation* cancellation) {
  const std::string setting = "applications." + job.app->name + ".services";
  for (const auto& unit :
       configured_units(job.app->services, job.plan.users, environment.user_mode)) {
    if (!unit.required) continue;
    ServiceState state{ServiceState::Known::kNoManager, "", "this daemon knows of none"};
    if (environment.tools.services) {
      state = environment.tools.services->look(unit, cancellation);
    }
    if (state.known == ServiceState::Known::kNo) {
      throw refused("the service " + unit.shown() + " that " + setting +
                    " names cannot be restarted: " + state.reason +
                    "; correct its name, or remove it there");
    }
    const bool needed = environment.user_mode || !unit.of_user;
    if (state.known == ServiceState::Known::kNoManager && needed) {
      throw refused("services are configured for " + job.app->name +
                    ", but no service manager can be reached to restart them (" + state.reason +
                    "): start the daemon under systemd, or remove " + setting);
    }
  }
}

}  // namespace

std::uint64_t required_bytes(const PreparedJob& job) {
  // A floor for going on is none for the way back.
  const std::uint64_t needed = job.needed_bytes + kJobBytes;
  if (job.plan.kind != JobKind::kUpgrade) return needed;
  const Limits& limits = job.configuration->limits;
  const bool full = job.plan.mode == Mode::kFull;
  return std::max(full ? limits.full_free_bytes : limits.quick_free_bytes, needed);
}

void preflight(const JobEnvironment& environment, const PreparedJob& job, JobLog& log,
               const Cancellation* cancellation) {
  if (job.plan.kind != JobKind::kRepair) check_services(environment, job, cancellation);
  for (const EntryPoint& entry : job.app->entry_points) {
    check_link_directory(environment, job, entry);
  }
  check_state_directory(environment, job);
  check_entry_points(environment, job);
  check_old_scripts(environment, job, log, cancellation);
  warn_if_shadowed(environment, job, log);
  const bool full = job.plan.kind == JobKind::kUpgrade && job.plan.mode == Mode::kFull;
  if (full) check_thoroughly(environment, job, log, cancellation);
  const bool met = full && !job.app->requirements.empty();
  const std::uint64_t free = environment.tools.fs.space(environment.tools.layout.state).free_bytes;
  log.info("preflight.passed",
           {{"free", format_bytes(free)}, {"met", met ? "; requirements are met" : ""}});
}

}  // namespace mcpu
