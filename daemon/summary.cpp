#include "daemon/summary.hpp"

#include <cstdio>

#include "daemon/release_id.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

std::string shown(const std::string& release) {
  return release.empty() ? "nothing" : release == kBefore ? "what stood before adoption" : release;
}

std::string in_seconds(std::chrono::milliseconds duration) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f s", static_cast<double>(duration.count()) / 1000.0);
  return text;
}

std::string changes_line(const ListingChanges& changes) {
  const std::size_t changed = changes.changed.size();
  return std::to_string(changed) + (changed == 1 ? " file changed, " : " files changed, ") +
         std::to_string(changes.added.size()) + " added, " +
         std::to_string(changes.removed.size()) + " removed";
}

std::string next_line(const PreparedJob& job) {
  if (job.plan.to == kBefore) return "'mcpctl rollback' comes back to " + job.plan.from;
  // A copy of what stood there is no other release to go back to.
  if (job.plan.from.empty() || without_copy(job.plan.from) == without_copy(job.plan.to)) {
    return "'mcpctl status' shows how things stand";
  }
  if (job.plan.from == kBefore) return "'mcpctl rollback --to before' puts back what stood there";
  return "'mcpctl rollback' goes back to " + job.plan.from;
}

/// It switches nothing: it is no part of the history.
Commit summarize_repair(const JobRecord& record, const Plan& plan) {
  Commit commit;
  commit.result = {Outcome::kDone,
                   "mended: the command runs " + plan.to + " again",
                   {{"app", plan.app}, {"release", plan.to}}};
  commit.history = {plan.job, now(), plan.kind, plan.mode, plan.from, plan.to, record.by};
  return commit;
}

}  // namespace

Commit summarize(const JobRecord& record, const PreparedJob& job, const StepContext& context,
                 std::chrono::milliseconds duration) {
  const Plan& plan = job.plan;
  const Layout& layout = context.tools.layout;
  Commit commit;
  if (plan.kind == JobKind::kRepair) return summarize_repair(record, plan);
  const bool rollback = plan.kind == JobKind::kRollback;
  commit.result.outcome = Outcome::kDone;
  commit.result.message = (rollback ? "rolled back to " : "upgraded to ") + shown(plan.to) +
                          (plan.from.empty() ? "" : " from " + shown(plan.from));
  if (plan.from.empty() && !rollback) commit.result.message = "installed " + plan.to;
  commit.history = {plan.job, now(), plan.kind, plan.mode, plan.from, plan.to, record.by};
  commit.clear_denied = job.clear_denied;

  auto& lines = commit.lines;
  lines.push_back("from     " + shown(plan.from));
  lines.push_back("to       " + shown(plan.to));
  if (plan.to != kBefore) {
    lines.push_back("changed  " + changes_line(job.changes));
    lines.push_back("where    " + escape_path(layout.tree(plan.app, plan.to)));
  }
  for (const PrivateLine& line : context.config_lines) {
    commit.private_lines.push_back({line.uid, "configs  " + line.text});
  }
  lines.push_back("backup   " + escape_path(layout.snapshot(plan.job)));
  lines.push_back("log      'mcpctl logs " + std::to_string(plan.job) + "'");
  lines.push_back("time     " + in_seconds(duration));
  lines.push_back("next     " + next_line(job));
  commit.changelog = job.changelog;
  commit.result.details = {{"app", plan.app},
                           {"from", plan.from},
                           {"to", plan.to},
                           {"added", job.changes.added.size()},
                           {"changed", job.changes.changed.size()},
                           {"removed", job.changes.removed.size()},
                           {"backup", escape_path(layout.snapshot(plan.job))},
                           {"milliseconds", duration.count()},
                           {"next", next_line(job)}};
  return commit;
}

}  // namespace mcpu
