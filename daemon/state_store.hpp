#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "daemon/file_system.hpp"
#include "daemon/layout.hpp"
#include "proto/error.hpp"
#include "proto/job_request.hpp"

namespace mcpu {

/// What stands for «what was at the entry point before adoption» where a release is named.
inline constexpr const char* kBefore = "before";

/// One committed switch.
struct HistoryEntry {
  JobId job = 0;
  TimePoint time{};
  JobKind kind = JobKind::kUpgrade;
  Mode mode = Mode::kQuick;
  std::string from;  ///< release, kBefore, or empty: nothing was installed
  std::string to;    ///< release or kBefore
  std::string by;    ///< user name
};

/// A release nothing unattended upgrades to.
struct Hold {
  std::string reason;
  TimePoint since{};
};

/// How a release fared when it was last checked.
struct Health {
  bool passed = false;
  std::string summary;
  TimePoint time{};
};

/// The newest release known of the source, and when that was last looked up.
struct Newest {
  std::string version;
  std::string digest;  ///< hex, of the whole release
  TimePoint looked_up{};
};

struct ApplicationState {
  std::vector<HistoryEntry> history;  ///< oldest first
  std::vector<std::string> pins;
  std::map<std::string, Hold> holds;  ///< by release
  std::optional<Hold> paused;         ///< `hold` without a release
  std::map<std::string, Health> health;
  std::optional<Newest> newest;
  /// Made again from records that do not tell pins, holds and pauses: until somebody sets or clears
  /// one, no release is removed, and nothing is upgraded unattended.
  bool marks_lost = false;

  /// What stood before adoption stands there again, put back by a rollback.
  bool left() const { return !history.empty() && history.back().to == kBefore; }
  /// What follows from a committed switch: its place in the history, the health of the release that
  /// passed its checks, and that nothing unattended returns to one that was rolled back from.
  /// Idempotent.
  void record_switch(const HistoryEntry& entry);
};

struct State {
  JobId next_job = 1;
  std::map<std::string, ApplicationState> applications;

  /// Empty state for an application that is not known yet.
  const ApplicationState& application(const std::string& name) const;
};

/// state.json: read once, replaced atomically with every change. All methods from any thread;
/// update() is serialized and blocks for one durable write.
class StateStore {
 public:
  /// Reads state.json. Damage does not throw: the file is set aside as state.json.corrupt-TIME, and
  /// `damage()` says so from then on, also after a restart. One that is missing is made again from
  /// the jobs' records; `loss()` says so.
  StateStore(FileSystem& fs, const Layout& layout);

  std::shared_ptr<const State> get() const;
  /// Applies `change` to a copy, stores that durably, then makes it the state. When storing fails
  /// the old state stands and Error{kIo} is thrown. REQUIRES: damage() is empty, else kCorrupt.
  void update(const std::function<void(State&)>& change);
  /// What is damaged and what to do; empty: all is well.
  std::string damage() const;
  /// Reads a state.json again that could not be read before, where that was no damage of its own.
  void try_again();
  /// Whether the damaged state lies aside, so that rebuild() can make it again.
  bool can_rebuild() const;
  /// The state as the jobs' records tell it.
  std::shared_ptr<const State> rebuilt() const;
  /// Makes a damaged state again from the jobs' records, durably; `loss()` says what is not in it.
  /// The damaged file stays aside. REQUIRES: can_rebuild().
  void rebuild();
  /// What is not known any more, until somebody says how it is to be; empty: nothing is lost.
  std::string loss() const;

 private:
  void load();
  void load_missing();

  FileSystem& fs_;
  Layout layout_;
  mutable std::mutex mutex_;
  std::mutex update_mutex_;
  std::shared_ptr<const State> state_;
  std::string damage_;
  bool aside_ = false;   ///< what is damaged lies under another name
  bool unread_ = false;  ///< it could not be read, and may be as it should be
};

nlohmann::json to_json(const HistoryEntry& entry);
HistoryEntry history_from_json(const nlohmann::json& json);

/// Where a rollback goes: the release that stood before the last switch away from another one,
/// while `standing` (a release, kBefore or empty) stands; never to before adoption. Empty: nowhere.
std::string release_before(const std::vector<HistoryEntry>& history, const std::string& standing);

nlohmann::json to_json(const State& state);
State state_from_json(const nlohmann::json& json);

/// Whether what reading a stored file threw says that the file is damaged. Else it could not be
/// read at present (the disk, rights), and may be as it should be.
bool says_damage(const Error& error);

/// Renames a damaged file to NAME.corrupt-TIME beside it, durably; returns the new path.
std::string set_aside(FileSystem& fs, const std::string& path);

}  // namespace mcpu
