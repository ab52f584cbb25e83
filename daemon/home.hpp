#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/digest.hpp"
#include "daemon/file_system.hpp"
#include "daemon/kept_worker.hpp"
#include "daemon/stale.hpp"

namespace mcpu {

/// A configuration file of a user that is kept safe.
struct ManagedFile {
  std::string path;     ///< relative to the home
  std::string format;   ///< "json", "toml", "other"
  std::string servers;  ///< JSON pointer to its MCP servers; empty: unknown
};

/// A managed file at one moment.
struct FileState {
  std::string path;  ///< relative to the home
  bool exists = false;
  std::uint32_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_ns = 0;
  Sha256 content;       ///< zero when it does not exist
  std::string problem;  ///< why it cannot be managed ("belongs to root: chown ...", "is a FIFO");
                        ///< empty: fine
  /// Where the path itself points, if it is a link; the rest is its target's.
  std::string link;

  /// Same content and mode, or both absent. Times do not count as a change.
  bool same(const FileState& other) const {
    return same_content(other) && (!exists || mode == other.mode);
  }
  /// The same without modes.
  bool same_content(const FileState& other) const {
    return exists == other.exists && content == other.content;
  }
};
nlohmann::json to_json(const FileState& state);
/// Throws Error{kCorrupt} for anything that to_json did not write.
FileState file_state_from_json(const nlohmann::json& object);

/// Larger managed files are a problem, not saved: configuration files are small, and a worker holds
/// one of them in memory.
inline constexpr std::uint64_t kMaxManagedFileBytes = 64ULL << 20;

/// What came of putting one file back.
struct RestoreResult {
  std::string path;
  bool restored = false;  ///< false: left as it is because it was not as expected
  std::string problem;    ///< why not
};

/// The worker that holds the lock on a home until this ends. Its user can end it too, to the harm
/// of nobody else. No descriptor with the lock comes here: it may be of a file system that hangs.
using HomeLock = std::unique_ptr<Worker>;

/// One user's home, reached only through a worker with that user's rights, which serves one call
/// after the other. One thread at a time. `who.home` that is missing or denied: Error{kIo} naming
/// it.
class Home {
 public:
  Home(ProcessPort& processes, Identity who, std::vector<ManagedFile> files);

  /// As of KeptWorker.
  void start() { worker_.start(); }
  void rest() { worker_.rest(); }

  const Identity& who() const { return worker_.who(); }
  const std::vector<ManagedFile>& files() const { return files_; }
  void limit(Deadline deadline, const Cancellation* cancellation);

  /// Takes the write lock on ~/.local/state/mcp-upgraded.lock (created 0600 if missing), waiting at
  /// most `wait`. Error{kBusy} names it.
  HomeLock lock(std::chrono::milliseconds wait);

  using Sink = std::function<void(const FileState&, std::string_view piece, bool last)>;
  /// States and contents of all managed files, one after the other: `sink` gets every existing
  /// file's content in pieces, an empty file's as one empty piece. The state that comes with each
  /// piece is complete: its digest is that of exactly the bytes passed on. Files with a problem are
  /// left out.
  std::vector<FileState> save(const Sink& sink);
  /// States alone (hashed).
  std::vector<FileState> inspect();
  /// Makes these managed files durable as they are, their absence too. Paths as in ManagedFile.
  void sync(const std::vector<std::string>& paths);
  /// Problems of the files' syntax, "FILE: line 3: ..."; for the full preflight.
  std::vector<std::string> parse();

  /// Puts one file back (content, mode; or its absence): temporary file beside it, sync, rename,
  /// directory sync. Links to it are followed and stay links; a file that was replaced by a link,
  /// or the reverse, becomes again what it was. Only if it is now as `expected` (by content) or
  /// already as wanted; `expected` empty: whatever is there. Idempotent. Failures to write throw.
  RestoreResult restore(const FileState& wanted, const std::string& content,
                        const std::optional<FileState>& expected);
  /// Removes temporary files of ours beside the managed files, left by a crash.
  void clean();

  /// Fills `directory` (made by the daemon, owned by the user) with copies of the managed files,
  /// for checks that must not touch the real ones.
  void fill_scratch(const std::string& directory);
  /// Removes everything in `directory`, whether the user has a home or not.
  void empty_directory(const std::string& directory);

  /// Old installations of an application in this home. What the worker says is checked.
  StaleFound find_stale(const StaleQuery& query);
  /// As remove_stale_link() and put_back_stale_link().
  bool remove_stale(const StaleLink& link);
  void put_back_stale(const StaleLink& link);

 private:
  /// Sends a request, the link limited, and returns what `talk` makes of the answer.
  template <typename Talk>
  auto ask(WorkerLink& link, const nlohmann::json& request, Deadline deadline, Talk talk);
  /// The same with the home's worker.
  template <typename Talk>
  auto converse(const nlohmann::json& request, Deadline deadline, Talk talk);
  FileState receive_state(WorkerLink& link, const ManagedFile& file);

  ProcessPort& processes_;
  KeptWorker worker_;
  std::vector<ManagedFile> files_;
  Deadline deadline_ = Deadline::max();
  const Cancellation* cancellation_ = nullptr;
};

}  // namespace mcpu
