#include "daemon/transaction.hpp"

#include <algorithm>

#include "daemon/concern.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

json first_record(const Plan& plan) {
  return {{"record", "begin"}, {"format", 1}, {"plan", to_json(plan)}};
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
}

std::vector<Error> Transaction::undo(json undo) {
  context_.running.cancellation = nullptr;
  if (!undoing()) {
    undo["record"] = "undo";
    // As if the daemon had died in that step: its notes do not tell everything.
    if (note_lost_) undo["interrupted"] = true;
    record(std::move(undo));
  }
  const bool interrupted_step = undoing()->value("interrupted", false);
  std::vector<Error> pending;
  const std::vector<std::size_t> steps = begun();
  for (auto index = steps.rbegin(); index != steps.rend(); ++index) {
    const Step& step = context_.plan.steps.at(*index);
    const bool interrupted = interrupted_step && index == steps.rbegin();
    const std::string name(step_name(step.kind));
    // What the snapshot holds is needed until everything above it is put back.
    if (step.kind == StepKind::kSnapshot && !pending.empty()) continue;
    try {
      const TimedStep timed(context_.tools.timer, step.deadline);
      undo_step(step, context_, trace(*index, interrupted));
      context_.log.debug("undo.step", {{"step", name}});
    } catch (const Error& error) {
      context_.log.emit({Tier::kError,
                         "undo.pending",
                         {{"what", name}, {"remedy", error.what()}},
                         concerned_by(error.context())});
      pending.push_back(error);
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
