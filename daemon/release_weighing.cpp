#include "daemon/release_weighing.hpp"

#include "daemon/version.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

JobResult nothing_to_do(const std::string& message) {
  return {Outcome::kNothingToDo, message, nlohmann::json::object()};
}

/// What an unattended upgrade leaves out, and says so.
JobResult skip(const ReleaseInfo& fresh, const std::string& reason, const std::string& message,
               JobLog& log) {
  log.info("unattended.skipped", {{"release", fresh.id}, {"reason", reason}});
  return nothing_to_do(message);
}

/// Only real versions have an order: a commit or the digest of a plain directory has none.
bool older(const std::string& version, const std::string& than) {
  if (version.find('.') == version.npos || than.find('.') == than.npos) return false;
  const auto a = parse_version(version), b = parse_version(than);
  return a && b && *a < *b;
}

/// Why nothing unattended takes this release after the last rollback; empty: it may.
std::string against_going_back(const ApplicationState& state, const ReleaseInfo& fresh) {
  if (state.history.empty() || state.history.back().kind != JobKind::kRollback) return "";
  const HistoryEntry& last = state.history.back();
  const std::string job = " in job " + std::to_string(last.job);
  if (state.left()) {
    return "what stood there before adoption was put back by " + last.by + job +
           ": the next upgrade is a person's";
  }
  const bool held = state.holds.contains(last.from);
  if (!held || !older(fresh.version, ReleaseStore::version_in(last.from))) return "";
  return "the source offers " + fresh.version + ", which is older than " + last.from + ", which " +
         last.by + " rolled back from" + job;
}

/// The options with which somebody takes this candidate all the same.
std::string options_for(const Candidate& candidate) {
  // A work tree's files are no commit's.
  const std::string options =
      candidate.request.worktree ? "--force" : upgrade_options(candidate.fresh);
  return options == "--force" ? options : options + " or --force";
}

/// A release that failed its checks before: tried again only by somebody who says so.
Weighed weigh_denied(const Candidate& candidate, const DeniedReleases& denied, JobLog& log) {
  const ReleaseInfo& fresh = candidate.fresh;
  const auto mark = denied.find(fresh.digest.hex());
  if (!mark) return {};
  if (candidate.request.force || candidate.request.to) return {std::nullopt, fresh.digest.hex()};
  const std::string job = std::to_string(mark->job);
  const std::string why = "release " + fresh.id + " failed its check '" + mark->check +
                          "' in job " + job + " (" + mark->reason + ")";
  if (candidate.request.unattended) {
    return {skip(fresh, why, why + ": not tried again unattended", log), ""};
  }
  throw Error(Code::kRefused,
              why + ": see 'mcpctl logs " + job +
                  " -v'; wait for a newer release, or try again with " + options_for(candidate) +
                  " or after 'mcpctl unhold " + fresh.id + "'",
              {{"reason", why}});
}

std::optional<JobResult> weigh_held(const Candidate& candidate, const ApplicationState& state,
                                    JobLog& log) {
  const ReleaseInfo& fresh = candidate.fresh;
  const auto hold = state.holds.find(fresh.id);
  if (hold == state.holds.end()) return std::nullopt;
  const std::string& reason = hold->second.reason;
  if (candidate.request.unattended) {
    return skip(fresh, reason, "release " + fresh.id + " is held: " + reason, log);
  }
  log.warning("release.held_warning", {{"release", fresh.id}, {"reason", reason}});
  return std::nullopt;
}

std::optional<JobResult> weigh_older(const Candidate& candidate, JobLog& log) {
  const auto& [request, fresh, current, in_place] = candidate;
  if (!current || request.force || request.to || !older(fresh.version, current->version)) {
    return std::nullopt;
  }
  const std::string why =
      "the source offers " + fresh.version + ", older than the current " + current->version;
  if (request.unattended) return skip(fresh, why, why + ": not taken unattended", log);
  throw Error(Code::kRefused, why + ": go there with " + options_for(candidate),
              {{"reason", "older"}});
}

}  // namespace

Weighed weigh_release(const Candidate& candidate, const ApplicationState& state,
                      const DeniedReleases& denied, JobLog& log) {
  const auto& [request, fresh, current, in_place] = candidate;
  if (request.unattended && state.paused) {
    return {skip(fresh, "upgrades are on hold",
                 "unattended upgrades are on hold: 'mcpctl unhold' resumes them", log),
            ""};
  }
  if (request.unattended && state.marks_lost) {
    return {skip(fresh, "holds and pauses were lost",
                 "holds and pauses were lost: 'mcpctl unhold' says that there is none", log),
            ""};
  }
  if (current && current->digest == fresh.digest && in_place && !request.force) {
    return {nothing_to_do("already up to date: " + current->id), ""};
  }
  if (const std::string why = against_going_back(state, fresh);
      request.unattended && !why.empty()) {
    return {skip(fresh, why, why + ": not taken unattended", log), ""};
  }
  Weighed weighed = weigh_denied(candidate, denied, log);
  if (!weighed.early) weighed.early = weigh_held(candidate, state, log);
  if (!weighed.early) weighed.early = weigh_older(candidate, log);
  return weighed;
}

}  // namespace mcpu
