#include "daemon/transaction.hpp"

#include <algorithm>
#include <cerrno>

#include "daemon/concern.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

json first_record(const Plan& plan) {
  return {{"record", "begin"}, {"format", 1}, {"plan", to_json(plan)}};
}

/// Whether the step decides what the command on PATH runs.
bool leads_command(StepKind kind) {
  return kind == StepKind::kEntryPoints || kind == StepKind::kLeave || kind == StepKind::kActivate;
}

/// Whether undoing the step takes away what the command may still run, or restarts a service, which
/// is to run what the command does.
bool is_needed_by_command(StepKind kind) {
  return kind == StepKind::kActivate || kind == StepKind::kStage || kind == StepKind::kServices;
}

}  // namespace

Plan plan_in(const Journal& journal) {
  const json& first = journal.records().at(0);
  if (first.value("format", 0) != 1) {
    throw Error(Code::kCorrupt, "the journal was made by a newer mcp-upgraded");
  }
  return plan_from_json(first.value("plan", json::object()));
}

Transaction::Transaction(StepContext& context, const std::string& journal_file)
    : context_(context),
      journal_(Journal::create(context.tools.fs, journal_file, first_record(context.plan))) {}

Transaction::Transaction(StepContext& context, std::unique_ptr<Journal> journal)
    : context_(context), journal_(std::move(journal)) {}

void Transaction::run() {
  for (std::size_t i = 0; i < context_.plan.steps.size(); ++i) {
    const Step& step = context_.plan.steps[i];
    if (context_.running.cancellation) context_.running.cancellation->check();
    record({{"record", "step"}, {"index", i}});
    context_.note = [this, i](const json& note) {
      note_lost_ = true;
      record({{"record", "note"}, {"index", i}, {"note", note}});
      note_lost_ = false;
    };
    context_.log.enter(phase_of(step.kind));
    const TimedStep timed(context_.tools.timer, step.deadline);
    apply_step(step, context_);
  }
  if (context_.running.cancellation) context_.running.cancellation->check();
}

void Transaction::commit(json commit) {
  commit["record"] = "commit";
  record(std::move(commit));
  journal_->give_room();
}

std::vector<Error> Transaction::undo(json undo) {
  context_.running.cancellation = nullptr;
  if (!undoing()) {
    undo["record"] = "undo";
    // As if the daemon had died in that step: its notes do not tell everything.
    if (note_lost_) undo["interrupted"] = true;
    record(std::move(undo));
  }
  journal_->give_room();
  std::vector<std::size_t> steps = begun();
  std::ranges::reverse(steps);
  const std::optional<std::size_t> last =
      steps.empty() ? std::nullopt : std::optional(steps.front());
  std::vector<Pending> pending = undo_steps(steps, last);
  // What was undone behind them may have made the room that they lacked: all once more, in order.
  const bool room = std::ranges::any_of(pending, [](const Pending& one) {
    return one.error && (one.error->sys() == ENOSPC || one.error->sys() == EDQUOT);
  });
  if (room) pending = undo_steps(steps, last);
  std::vector<Error> errors;
  for (const Pending& one : pending) {
    if (!one.error) continue;
    const std::string_view name = step_name(context_.plan.steps.at(one.index).kind);
    context_.log.emit({Tier::kError,
                       "undo.pending",
                       {{"what", name}, {"remedy", one.error->what()}},
                       concerned_by(one.error->context())});
    errors.push_back(*one.error);
  }
  return errors;
}

std::vector<Transaction::Pending> Transaction::undo_steps(const std::vector<std::size_t>& steps,
                                                          std::optional<std::size_t> last) {
  const bool interrupted = undoing()->value("interrupted", false);
  bool command_pending = false;
  std::vector<Pending> pending;
  for (const std::size_t index : steps) {
    const Step& step = context_.plan.steps.at(index);
    // What the snapshot holds is needed until everything above it is put back; the release that
    // the command runs, until the command leads elsewhere.
    const bool needed = (step.kind == StepKind::kSnapshot && !pending.empty()) ||
                        (is_needed_by_command(step.kind) && command_pending);
    if (needed) {
      pending.push_back({index, std::nullopt});
      continue;
    }
    try {
      const TimedStep timed(context_.tools.timer, step.deadline);
      undo_step(step, context_, trace(index, interrupted && index == last));
      context_.log.debug("undo.step", {{"step", step_name(step.kind)}});
    } catch (const Error& error) {
      command_pending = command_pending || leads_command(step.kind);
      pending.push_back({index, error});
    }
  }
  return pending;
}

void Transaction::finish() { journal_->remove(); }

const json* Transaction::find(const char* kind) const {
  const auto& records = journal_->records();
  const auto found = std::ranges::find_if(
      records, [&](const json& record) { return record.value("record", "") == kind; });
  return found == records.end() ? nullptr : &*found;
}

const json* Transaction::committed() const { return find("commit"); }

const json* Transaction::undoing() const { return find("undo"); }

std::string Transaction::last_step() const {
  const auto steps = begun();
  return steps.empty() ? "" : std::string(step_name(context_.plan.steps.at(steps.back()).kind));
}

std::vector<std::size_t> Transaction::begun() const {
  std::vector<std::size_t> indexes;
  for (const json& record : journal_->records()) {
    if (record.value("record", "") == "step") indexes.push_back(record.at("index"));
  }
  return indexes;
}

StepTrace Transaction::trace(std::size_t index, bool interrupted) const {
  StepTrace trace;
  trace.interrupted = interrupted;
  for (const json& record : journal_->records()) {
    if (record.value("record", "") == "note" && record.at("index") == index) {
      trace.notes.push_back(record.at("note"));
    }
  }
  return trace;
}

}  // namespace mcpu
