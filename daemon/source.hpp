#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/listing.hpp"
#include "daemon/notice.hpp"
#include "daemon/processes.hpp"

namespace mcpu {

/// What is wanted from a source. Sent to the source worker as JSON.
struct SourceRequest {
  std::string location;              ///< path or URL of kSourceSchemes
  std::optional<std::string> to;     ///< version, tag, branch or commit
  bool worktree = false;             ///< tracked files as they are, not HEAD
  bool closed = false;               ///< a path must be writable by its owner and root alone
  std::string cache_directory;       ///< clones of URLs live below it, one for each location
  std::string known_hosts;           ///< file with ssh host keys; empty: ~/.ssh/known_hosts
  std::string ca_file;               ///< additional certificate authority, PEM; empty: the system's
  std::vector<std::string> exclude;  ///< glob patterns besides the built-in ones
  std::vector<std::string> entry_paths;  ///< entry points within the tree: must be files
  std::string changelog_path;            ///< within the tree; may be missing there
  TreeLimits limits;
  std::uint64_t max_clone_bytes = 1ULL << 30;
};

/// One release a source offers, with everything needed to decide about it.
struct ResolvedSource {
  std::string location;   ///< as asked, credentials in a URL removed
  std::string kind;       ///< "checkout", "repository", "directory"
  std::string version;    ///< "1.3.11", "1.3.11-4-gabcdef0", changelog heading or short commit
  std::string commit;     ///< 40 hex digits, empty for a directory
  bool modified = false;  ///< --worktree with differences, or a plain directory
  Listing listing;
  std::string changelog;  ///< bounded text of the changelog file, empty if there is none
  std::vector<Notice> notices;
};

/// How long a source may take for something, counted from the making of this.
class SourceLimit {
 public:
  /// `setting` is what says so in the configuration: "limits.resolve_seconds".
  SourceLimit(std::string setting, std::chrono::seconds time)
      : setting_(std::move(setting)), time_(time), deadline_(Deadline::clock::now() + time) {}

  Deadline deadline() const { return deadline_; }
  /// What to tell of a source that took longer: which, than what, and what to do next. A password
  /// in `location` is not shown.
  std::string overdue(const std::string& location) const;

 private:
  std::string setting_;
  std::chrono::seconds time_;
  Deadline deadline_;
};

/// An open source: a source worker that has resolved one release and can still be asked for its
/// contents. Job thread only. Destroying it ends the worker.
class SourceSession {
 public:
  using Progress = std::function<void(const Notice&)>;

  /// Starts a worker as `who`, resolves, validates the listing. Error{kSource} says what is wrong
  /// with the source, kNotFound that the version does not exist, kTimeout that it took longer than
  /// `limit`; kCancelled, kWorker.
  static std::unique_ptr<SourceSession> open(ProcessPort& processes, const Identity& who,
                                             const SourceRequest& request, const SourceLimit& limit,
                                             const Cancellation* cancellation,
                                             const Progress& progress);

  const ResolvedSource& resolved() const { return resolved_; }

  /// Reads the contents of the files at these indexes of the listing, in order. `sink` gets the
  /// index, a piece of content and whether it is the last piece (an empty file: one empty piece).
  /// The digest of each file is checked here: a source that changed meanwhile is Error{kSource}
  /// naming the file; kTimeout as from open().
  void read(const std::vector<std::size_t>& indexes, const SourceLimit& limit,
            const std::function<void(std::size_t index, std::string_view piece, bool last)>& sink);

 private:
  SourceSession() = default;
  std::unique_ptr<Worker> worker_;
  std::string location_;  ///< as asked
  ResolvedSource resolved_;
  const Cancellation* cancellation_ = nullptr;
};

}  // namespace mcpu
