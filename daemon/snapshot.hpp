#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/home.hpp"
#include "daemon/layout.hpp"

namespace mcpu {

/// Saved configuration files of one user and one job: snapshots/JOB/UID/{manifest.json, after.json,
/// content/SHA256, found/}. Complete once manifest.json is there. Job thread only.
class Snapshot {
 public:
  Snapshot(FileSystem& fs, const Layout& layout, JobId job, std::uint32_t uid);

  /// Saves all managed files of `home` durably; the manifest comes last.
  std::vector<FileState> save(Home& home);
  bool complete() const;
  /// The states as saved. Error{kCorrupt} when the manifest cannot be read.
  std::vector<FileState> before() const;
  /// The states at the job's commit; empty when it never got that far.
  std::optional<std::vector<FileState>> after() const;
  /// `touched`: paths that the release changed inside a step that ran it; all other differences
  /// from before() are people's edits.
  void record_after(const std::vector<FileState>& states, const std::set<std::string>& touched);
  /// The paths given to record_after.
  std::set<std::string> touched() const;
  /// The saved content, checked against its digest (Error{kCorrupt}).
  std::string content(const FileState& state) const;
  /// Keeps a version found in the home before it is replaced, as found/NAME-SHA256, and returns
  /// that path; idempotent.
  std::string keep_found(const FileState& state, const std::string& content);
  /// Has discard() leave this snapshot: somebody may still need it.
  void keep();
  /// Removes the snapshot unless found/ keeps something.
  void discard();
  std::string directory() const { return directory_; }

 private:
  void make_directory();

  FileSystem& fs_;
  std::string directory_;
};

/// The state with this path; null if it is not among them.
const FileState* find_state(const std::vector<FileState>& states, const std::string& path);

}  // namespace mcpu
