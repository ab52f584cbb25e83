#include "daemon/state_rebuild.hpp"

namespace mcpu {

namespace {

/// A text of the result's details; empty when it is missing.
std::string detail(const JobRecord& record, const char* name) {
  const auto found = record.result->details.find(name);
  const bool text = found != record.result->details.end() && found->is_string();
  return text ? found->get<std::string>() : "";
}

bool is_switch(const JobRecord& record) {
  const bool switches =
      record.request.kind == JobKind::kUpgrade || record.request.kind == JobKind::kRollback;
  return switches && record.result && record.result->outcome == Outcome::kDone &&
         !detail(record, "to").empty() && !detail(record, "app").empty();
}

}  // namespace

State state_from_records(const JobRecords& records) {
  State state;
  for (const JobId id : records.list()) {
    state.next_job = id + 1;
    const auto record = records.read(id);
    if (!record || !is_switch(*record)) continue;
    state.applications[detail(*record, "app")].record_switch(
        {id, record->finished_at.value_or(record->queued_at), record->request.kind,
         record->request.mode, detail(*record, "from"), detail(*record, "to"), record->by});
  }
  for (auto& [name, application] : state.applications) application.marks_lost = true;
  return state;
}

}  // namespace mcpu
