#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "daemon/file_system.hpp"
#include "tests/memory_tree.hpp"

namespace mcpu {

class MemoryLocks;

/// Thrown where a test stops the program. Not an exception of the standard library, so that no
/// handler of errors takes it for one.
struct SimulatedCrash {};

/// What is gone when the program starts again.
enum class Loss {
  kNothing,   ///< it was killed: the kernel kept everything
  kUnsynced,  ///< the power was cut: only what was synced is left (see MemoryTree)
  kSome  ///< the power was cut when a part of the rest had been written, which the seed chooses
};

/// The file-system port in memory, for tests that stop the program at every change it makes:
///
///     MemoryFileSystem fs;            // an empty root directory, mode 0755
///     prepare(fs);
///     fs.restart(Loss::kNothing);     // count from here
///     fs.crash_at(n);                 // n = 1 is the first changing call
///     try { run(fs); } catch (const SimulatedCrash&) {}
///     fs.restart(Loss::kUnsynced);    // now recover, and look
///
/// Changing calls are the port's "Changing" and "Making durable" parts and the methods of
/// OutputFile. A call that a fault hits does not happen, except that a write or a sync of many
/// paths has done the first half of its work. After a failed sync, the content of that file never
/// becomes durable. It behaves as a process that may do everything. Thread safe.
class MemoryFileSystem final : public FileSystem {
 public:
  MemoryFileSystem();
  ~MemoryFileSystem() override;

  // What the test decides.
  /// The `count` changing calls from number `call` on fail with this errno.
  void fail_at(std::uint64_t call, int errno_value, std::uint64_t count = 1);
  /// Of the changing calls from now on that name a path below `top`, number `call` (from 1) fails,
  /// whatever other threads do elsewhere, and `count` - 1 more behind it. An empty `top`: none
  /// does.
  void fail_below(const std::string& top, std::uint64_t call, int errno_value,
                  std::uint64_t count = 1);
  /// The same for calls that only look: info, list, read_link, open, space, and what reads a file.
  void fail_look_at(std::uint64_t call, int errno_value, std::uint64_t count = 1);
  /// Changing call number `call` and every later one throw SimulatedCrash, until restart(); on
  /// threads other than the one that asked for this they fail with EIO, so that a thread which
  /// outlives the program does not end the test.
  void crash_at(std::uint64_t call);
  /// A new process: no faults, no locks, files that are still open are useless, counting restarts.
  void restart(Loss loss, std::uint32_t seed = 0);
  void set_space(const SpaceInfo& space);
  /// Whether reflink() works; at first it does not.
  void set_reflinks(bool possible);
  /// A file system of its own with the same files, as durable as they are here; no faults, no
  /// locks, nothing open.
  std::unique_ptr<MemoryFileSystem> copy() const;

  // What the test wants to know.
  /// The changing calls since the last restart, as "rename /a /b"; those that a fault hit included.
  std::vector<std::string> trace() const;
  std::uint64_t changing_calls() const { return trace().size(); }
  /// The calls since the last restart that only looked.
  std::uint64_t looks() const;
  /// Whether crash_at() has stopped the program.
  bool down() const;

  // The port.
  std::optional<FileInfo> info(const std::string& path) override;
  std::vector<std::string> list(const std::string& path) override;
  std::string read_link(const std::string& path) override;
  std::unique_ptr<InputFile> open(const std::string& path) override;
  SpaceInfo space(const std::string& path) override;
  bool writable(const std::string& directory) override;
  std::unique_ptr<OutputFile> create(const std::string& path, std::uint32_t mode) override;
  std::unique_ptr<OutputFile> open_output(const std::string& path) override;
  void make_directory(const std::string& path, std::uint32_t mode) override;
  void make_link(const std::string& target, const std::string& path) override;
  void hard_link(const std::string& existing, const std::string& path) override;
  bool reflink(const std::string& existing, const std::string& path, std::uint32_t mode) override;
  void rename(const std::string& from, const std::string& to,
              IfExists if_exists = IfExists::kReplace) override;
  void remove_file(const std::string& path) override;
  void remove_directory(const std::string& path) override;
  void set_mode(const std::string& path, std::uint32_t mode) override;
  void set_owner(const std::string& path, std::uint32_t uid, std::uint32_t gid) override;
  void set_times(const std::string& path, std::int64_t mtime_ns) override;
  void sync_directory(const std::string& path) override;
  void sync_all(std::span<const std::string> paths) override;
  std::unique_ptr<FileLock> lock(const std::string& path, LockKind kind,
                                 std::chrono::milliseconds wait) override;

 private:
  class Input;
  class Output;
  struct Faults {
    std::uint64_t first = 0, end = 0;
    int errno_value = 0;
    std::uint64_t crash = UINT64_MAX;
    std::string top;          ///< of the paths that fail; empty: of none
    std::uint64_t left = 0;   ///< how many calls there until it fails
    std::uint64_t count = 0;  ///< and how many fail then
    std::uint64_t first_look = 0, end_look = 0;
    int look_errno = 0;
  };
  static constexpr int kCrash = -1;

  // All of these under the mutex.
  /// Counts and records a changing call. Returns the errno it is to fail with, 0 for none, kCrash
  /// to stop the program.
  int strike(const std::string& call);
  /// Counts a call that only looks, and throws the error it is to fail with.
  void look(const char* action, const std::string& path);
  [[noreturn]] void crash(const std::string& call) const;
  [[noreturn]] void fail(int fault, const char* action, const std::string& path);
  /// Turns the tree's errno into an error that names action and path.
  template <typename Call>
  static auto run(const char* action, const std::string& path, Call call);
  /// Takes the mutex and makes a changing call that does nothing if a fault hits it.
  template <typename Change>
  auto change(const char* action, const std::string& path, const std::string& more, Change change);

  mutable std::mutex mutex_;
  MemoryTree tree_;
  Faults faults_;
  bool down_ = false;        ///< the program was stopped
  std::thread::id program_;  ///< where a crash is one
  std::vector<std::string> trace_;
  std::uint64_t looks_ = 0;
  std::uint64_t process_ = 0;  ///< counts restarts, to know open files of a dead process
  std::shared_ptr<MemoryLocks> locks_;
  SpaceInfo space_{.free_bytes = 100'000'000'000, .read_only = false, .no_exec = false};
  bool reflinks_ = false;
};

}  // namespace mcpu
