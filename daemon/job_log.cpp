#include "daemon/job_log.hpp"

namespace mcpu {

namespace {

constexpr std::chrono::milliseconds kProgressInterval{200};

}  // namespace

void JobLog::enter(Phase phase) {
  if (phase_.exchange(phase) == phase) return;
  percent_ = -1;
  debug("phase.started", {{"phase", phase_name(phase)}});
}

void JobLog::debug(std::string id, nlohmann::json fields) {
  emit({Tier::kDebug, std::move(id), std::move(fields)});
}

void JobLog::info(std::string id, nlohmann::json fields) {
  emit({Tier::kInfo, std::move(id), std::move(fields)});
}

void JobLog::success(std::string id, nlohmann::json fields) {
  emit({Tier::kSuccess, std::move(id), std::move(fields)});
}

void JobLog::warning(std::string id, nlohmann::json fields) {
  emit({Tier::kWarning, std::move(id), std::move(fields)});
}

void JobLog::error(std::string id, nlohmann::json fields) {
  emit({Tier::kError, std::move(id), std::move(fields)});
}

void JobLog::emit(const Notice& notice) {
  if (!events_) return collected_.push_back(notice);
  events_->emit(job_, notice.tier, phase(), notice.id, notice.fields, notice.concerns);
}

void JobLog::emit_about(std::uint32_t uid, Tier tier, std::string id, nlohmann::json fields) {
  emit({tier, std::move(id), std::move(fields), uid});
}

void JobLog::finish(Tier tier, std::string id, nlohmann::json fields,
                    std::optional<std::uint32_t> concerns) {
  finished_ = true;
  events_->emit(job_, tier, phase(), std::move(id), std::move(fields), concerns, true);
}

void JobLog::flush() {
  if (events_) events_->flush(job_);
}

void JobLog::progress(std::size_t done, std::size_t total, std::uint64_t bytes) {
  percent_ = total == 0 ? -1 : static_cast<int>(done * 100 / total);
  const auto time = std::chrono::steady_clock::now();
  if (done != total && time - last_progress_ < kProgressInterval) return;
  last_progress_ = time;
  debug("stage.progress", {{"done", done}, {"total", total}, {"bytes", bytes}});
}

}  // namespace mcpu
