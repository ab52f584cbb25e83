#include "daemon/state_store.hpp"

#include <cerrno>

#include <algorithm>

#include "daemon/durable.hpp"
#include "daemon/release_id.hpp"
#include "daemon/state_rebuild.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

constexpr int kFormat = 1;
constexpr std::uint64_t kMaxStateBytes = 16 << 20;
/// Far more than any way back reaches: older releases are pruned.
constexpr std::size_t kMaxHistory = 100;

constexpr const char* kMendState =
    ": put a good copy in its place, or run 'mcpctl repair' to make it again from the jobs' "
    "records";
constexpr const char* kLoss =
    " was made again from the jobs' records: pins, holds and pauses are lost, so nothing is "
    "removed "
    "and nothing is upgraded unattended";

json to_json(const Hold& hold) {
  return {{"reason", hold.reason}, {"since", format_time(hold.since)}};
}

Hold hold_from_json(const json& document) {
  return {document.at("reason"), parse_time(document.at("since").get<std::string>())};
}

json to_json(const ApplicationState& state) {
  json history = json::array(), holds = json::object(), health = json::object();
  for (const auto& entry : state.history) history.push_back(mcpu::to_json(entry));
  for (const auto& [release, hold] : state.holds) holds[release] = to_json(hold);
  for (const auto& [release, one] : state.health) {
    health[release] = {
        {"passed", one.passed}, {"summary", one.summary}, {"time", format_time(one.time)}};
  }
  json document{{"history", history}, {"pins", state.pins}, {"holds", holds}, {"health", health}};
  if (state.marks_lost) document["marks_lost"] = true;
  if (state.paused) document["paused"] = to_json(*state.paused);
  if (state.newest) {
    document["newest"] = {{"version", state.newest->version},
                          {"digest", state.newest->digest},
                          {"looked_up", format_time(state.newest->looked_up)}};
  }
  return document;
}

ApplicationState application_from_json(const json& document) {
  ApplicationState state;
  for (const json& entry : document.at("history")) {
    state.history.push_back(history_from_json(entry));
  }
  state.pins = document.at("pins").get<std::vector<std::string>>();
  for (const auto& [release, hold] : document.at("holds").items()) {
    state.holds[release] = hold_from_json(hold);
  }
  for (const auto& [release, one] : document.at("health").items()) {
    state.health[release] = {one.at("passed"), one.at("summary"),
                             parse_time(one.at("time").get<std::string>())};
  }
  state.marks_lost = document.value("marks_lost", false);
  if (document.contains("paused")) state.paused = hold_from_json(document.at("paused"));
  if (document.contains("newest")) {
    const json& newest = document.at("newest");
    state.newest = {newest.at("version"), newest.at("digest"),
                    parse_time(newest.at("looked_up").get<std::string>())};
  }
  return state;
}

}  // namespace

json to_json(const HistoryEntry& entry) {
  return {{"job", entry.job},   {"time", format_time(entry.time)}, {"kind", kind_name(entry.kind)},
          {"from", entry.from}, {"mode", mode_name(entry.mode)},   {"to", entry.to},
          {"by", entry.by}};
}

HistoryEntry history_from_json(const json& document) {
  HistoryEntry entry;
  entry.job = document.at("job");
  entry.time = parse_time(document.at("time").get<std::string>());
  entry.kind =
      kind_from(document.at("kind").get_ref<const std::string&>()).value_or(JobKind::kUpgrade);
  entry.mode = document.at("mode") == "full" ? Mode::kFull : Mode::kQuick;
  entry.from = document.at("from");
  entry.to = document.at("to");
  entry.by = document.at("by");
  return entry;
}

std::string release_before(const std::vector<HistoryEntry>& history, const std::string& standing) {
  for (auto entry = history.rbegin(); entry != history.rend(); ++entry) {
    const bool release = !entry->from.empty() && entry->from != kBefore;
    // A damaged copy of the same release is no way back.
    if (release && without_copy(entry->from) != without_copy(standing)) return entry->from;
  }
  return "";
}

void ApplicationState::record_switch(const HistoryEntry& entry) {
  const bool known =
      std::ranges::any_of(history, [&](const auto& one) { return one.job == entry.job; });
  if (!known) history.push_back(entry);
  if (history.size() > kMaxHistory) history.erase(history.begin());
  holds.erase(entry.to);
  const bool left_release = !entry.from.empty() && entry.from != kBefore;
  if (entry.kind == JobKind::kRollback && left_release) {
    holds[entry.from] = {"rolled back from in job " + std::to_string(entry.job), entry.time};
  }
  if (entry.to != kBefore) health[entry.to] = {true, "all checks passed", entry.time};
}

const ApplicationState& State::application(const std::string& name) const {
  static const ApplicationState kNone;
  const auto found = applications.find(name);
  return found == applications.end() ? kNone : found->second;
}

json to_json(const State& state) {
  json applications = json::object();
  for (const auto& [name, one] : state.applications) applications[name] = to_json(one);
  return {{"format", kFormat}, {"next_job", state.next_job}, {"applications", applications}};
}

State state_from_json(const json& document) {
  const int format = document.at("format");
  if (format > kFormat) {
    throw Error(Code::kRefused, "has format " + std::to_string(format) +
                                    ", made by a newer mcp-upgraded: install that one again");
  }
  State state;
  state.next_job = document.at("next_job");
  for (const auto& [name, one] : document.at("applications").items()) {
    state.applications[name] = application_from_json(one);
  }
  return state;
}

bool says_damage(const Error& error) {
  if (error.code() != Code::kIo) return true;
  return error.sys() == ELOOP || error.sys() == EINVAL || error.sys() == EFBIG;
}

std::string set_aside(FileSystem& fs, const std::string& path) {
  std::string time = format_time(now());
  std::erase(time, ':');
  const std::string aside = path + ".corrupt-" + time;
  fs.rename(path, aside, IfExists::kFail);
  fs.sync_directory(parent_path(path));
  return aside;
}

StateStore::StateStore(FileSystem& fs, const Layout& layout)
    : fs_(fs), layout_(layout), state_(std::make_shared<State>()) {
  load();
}

void StateStore::load_missing() {
  const std::string path = layout_.state_file();
  const std::string prefix = base_name(path) + ".corrupt-";
  for (const std::string& name : fs_.list(layout_.state)) {
    if (!name.starts_with(prefix)) continue;
    damage_ = path + " is missing, and a damaged one was set aside as " + name + kMendState;
    aside_ = true;
  }
  if (!damage_.empty()) return;
  State rebuilt = state_from_records(JobRecords(fs_, layout_));
  state_ = std::make_shared<State>(std::move(rebuilt));
}

void StateStore::load() {
  const std::string path = layout_.state_file();
  if (!fs_.info(path)) return load_missing();
  std::string reason;
  try {
    state_ =
        std::make_shared<State>(state_from_json(json::parse(read_file(fs_, path, kMaxStateBytes))));
    return;
  } catch (const Error& error) {
    reason = error.what();
    if (error.code() == Code::kRefused) {  // sound, but not for us: it stays where it is
      damage_ = path + " " + reason;
      return;
    }
    unread_ = !says_damage(error);
  } catch (const json::exception&) {
    reason = "it is not what this program writes";
  }
  damage_ = path + " cannot be read (" + reason + ")";
  if (unread_) {
    damage_ += ": mend what is named; the next request for a change reads it again";
    return;
  }
  try {
    damage_ += "; set aside as " + set_aside(fs_, path) + kMendState;
    aside_ = true;
  } catch (const Error& error) {
    damage_ += std::string("; it could not be set aside either: ") + error.what();
  }
}

std::shared_ptr<const State> StateStore::get() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

std::string StateStore::damage() const {
  const std::lock_guard lock(mutex_);
  return damage_;
}

void StateStore::try_again() {
  const std::lock_guard serial(update_mutex_);
  const std::lock_guard lock(mutex_);
  if (!unread_) return;
  unread_ = false;
  damage_.clear();
  load();
}

bool StateStore::can_rebuild() const {
  const std::lock_guard lock(mutex_);
  return aside_;
}

std::shared_ptr<const State> StateStore::rebuilt() const {
  return std::make_shared<State>(state_from_records(JobRecords(fs_, layout_)));
}

void StateStore::rebuild() {
  const std::lock_guard serial(update_mutex_);
  auto rebuilt = this->rebuilt();
  write_durably(fs_, layout_.state_file(), to_json(*rebuilt).dump(1) + "\n", 0600);
  const std::lock_guard lock(mutex_);
  state_ = std::move(rebuilt);
  damage_.clear();
  aside_ = false;
}

std::string StateStore::loss() const {
  const std::lock_guard lock(mutex_);
  const bool lost = std::ranges::any_of(state_->applications,
                                        [](const auto& one) { return one.second.marks_lost; });
  return lost ? layout_.state_file() + kLoss : "";
}

void StateStore::update(const std::function<void(State&)>& change) {
  const std::lock_guard serial(update_mutex_);
  if (const std::string damage = this->damage(); !damage.empty()) {
    throw Error(Code::kCorrupt, damage, {{"file", layout_.state_file()}});
  }
  auto next = std::make_shared<State>(*get());
  change(*next);
  write_durably(fs_, layout_.state_file(), to_json(*next).dump(1) + "\n", 0600);
  const std::lock_guard lock(mutex_);
  state_ = std::move(next);
}

}  // namespace mcpu
