#include <algorithm>

#include "daemon/durable.hpp"
#include "daemon/state_store.hpp"
#include "daemon/steps.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

/// Where a job keeps what stood at the entry points: for good when it adopts, else with the job.
std::string record_directory(const Step& step, const StepContext& context) {
  const Layout& layout = context.tools.layout;
  return step.arguments.value("first", false) ? layout.adoption(context.plan.app)
                                              : layout.snapshot(context.plan.job) + "/entry-points";
}

std::string leave_directory(const StepContext& context) {
  return context.tools.layout.snapshot(context.plan.job) + "/entry-points";
}

void warn_left_alone(StepContext& context, const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    context.log.warning("adopt.left_alone", {{"link", escape_path(path)}});
  }
}

}  // namespace

void apply_stage(const Step& step, StepContext& context) {
  const SourceLimit limit("limits.stage_seconds", step.deadline);
  SourceSession& source = *context.running.source;
  const StageReport report = context.releases.stage(
      context.plan.job, context.running.order,
      [&](const std::vector<std::size_t>& indexes, const auto& sink) {
        source.read(indexes, limit, sink);
      },
      [&](std::size_t done, std::size_t total, std::uint64_t bytes) {
        if (context.running.cancellation) context.running.cancellation->check();
        if (std::chrono::steady_clock::now() > limit.deadline()) {
          throw Error(Code::kTimeout, "staging took longer than its deadline of " +
                                          std::to_string(step.deadline.count()) +
                                          " s: see limits.stage_seconds in the configuration");
        }
        context.log.progress(done, total, bytes);
      });
  context.marks = context.releases.mark(context.plan.to);
  context.log.info("stage.done", {{"release", context.plan.to},
                                  {"files", report.files},
                                  {"changed", report.written},
                                  {"bytes", format_bytes(report.written_bytes)}});
}

void undo_stage(const Step& step, StepContext& context) {
  const std::string release = step.arguments.at("release");
  if (context.releases.unstage(context.plan.job, release)) return;
  context.log.info("prune.kept",
                   {{"release", release}, {"reason", "a process still runs from it"}});
}

void apply_activate(const Step& step, StepContext& context) {
  context.releases.switch_to(step.arguments.at("to"));
  const std::string from = context.plan.from.empty()      ? "nothing"
                           : context.plan.from == kBefore ? "what stood there before adoption"
                                                          : context.plan.from;
  context.log.info("activate.switched", {{"from", from}, {"to", context.plan.to}});
}

void undo_activate(const Step& step, StepContext& context) {
  // Though it may stand so already: an attempt before this one may not have made it durable.
  context.releases.switch_to(step.arguments.at("from"));
}

void apply_entry_points(const Step& step, StepContext& context) {
  const std::string directory = record_directory(step, context);
  context.entry_points.record(directory);
  for (const EntryPoint& entry : context.plan.entry_points) {
    const Standing standing = context.entry_points.at_link(entry);
    const std::string what = standing.kind == Standing::Kind::kNothing ? "nothing"
                             : standing.kind == Standing::Kind::kLink
                                 ? "a link to " + escape_path(standing.target)
                                 : "a file";
    if (standing.kind == Standing::Kind::kFile && !step.arguments.value("first", false)) {
      context.log.warning("adopt.replaced",
                          {{"link", escape_path(entry.link)},
                           {"copy", escape_path(directory + "/" + standing.content.hex())}});
      continue;
    }
    const bool ours = context.entry_points.leads_to_launcher(entry);
    context.log.info(ours ? "adopt.launcher" : "adopt.entry",
                     {{"link", escape_path(entry.link)}, {"what", what}});
  }
  context.entry_points.install();
  const std::string checkout = context.entry_points.recorded_checkout(directory);
  if (step.arguments.value("first", false) && !checkout.empty()) {
    context.log.info("adopt.notice", {{"checkout", escape_path(checkout)}});
  }
}

void undo_entry_points(const Step& step, StepContext& context) {
  const std::string directory = record_directory(step, context);
  warn_left_alone(context, context.entry_points.put_back(directory));
  if (step.arguments.value("first", false)) {
    remove_durably(context.tools.fs, context.tools.layout.launch(context.plan.app));
  }
  remove_durably(context.tools.fs, directory);
}

void apply_leave(StepContext& context) {
  // What stands there now is saved with the job, so that this rollback can itself be undone.
  context.entry_points.record(leave_directory(context));
  const std::string adoption = context.tools.layout.adoption(context.plan.app);
  warn_left_alone(context, context.entry_points.put_back(adoption));
  context.log.info("activate.switched",
                   {{"from", context.plan.from}, {"to", "what stood there before adoption"}});
}

void undo_leave(StepContext& context) {
  const std::string directory = leave_directory(context);
  const bool recorded = context.tools.fs.info(directory + "/entry-points.json").has_value();
  if (recorded) context.entry_points.install();
  remove_durably(context.tools.fs, directory);
}

}  // namespace mcpu
