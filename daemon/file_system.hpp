#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mcpu {

enum class FileType { kFile, kDirectory, kLink, kFifo, kSocket, kDevice };

/// What lstat says of a path.
struct FileInfo {
  FileType type = FileType::kFile;
  std::uint32_t mode = 0;  ///< permission bits, 07777
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;  ///< of the last change of any kind: nobody can set it
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t links = 1;
};

/// What statvfs says of the file system that holds a path.
struct SpaceInfo {
  std::uint64_t free_bytes = 0;  ///< for us: without the blocks kept for root if we are not
  bool read_only = false;
  bool no_exec = false;
};

/// A file open for writing. The destructor closes it; only sync() makes content durable.
class OutputFile {
 public:
  virtual ~OutputFile() = default;
  /// Writes all of `bytes` at `offset` (which may overwrite); no partial writes.
  virtual void write_at(std::uint64_t offset, std::string_view bytes) = 0;
  virtual void truncate(std::uint64_t size_bytes) = 0;
  /// fdatasync. After an error the data's fate is unknown: the same data is never retried.
  virtual void sync() = 0;
};

/// A file open for reading.
class InputFile {
 public:
  virtual ~InputFile() = default;
  /// Up to `size` bytes from `offset`; shorter only at the end of the file.
  virtual std::size_t read_at(std::uint64_t offset, char* buffer, std::size_t size) const = 0;
  virtual FileInfo info() const = 0;
};

/// Holds an open-file-description lock until destroyed.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

enum class LockKind { kRead, kWrite };
enum class IfExists { kFail, kReplace };

/// The one seam to the file system: every change of it, the workers' included, is a call of this
/// interface, so that a test can stop the program before and after any of them. Paths are absolute
/// byte strings. The last component of a path is never followed if it is a link, except by `space`,
/// `writable` and `sync_directory`, which change nothing (to follow, append "/." to a path). Every
/// failure is thrown as Error{kIo} with the path and errno. All methods may be called from any
/// thread. New files and directories get exactly the mode given: the umask does not count.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // Reading.
  /// Empty when nothing is there (ENOENT, ENOTDIR); other failures throw.
  virtual std::optional<FileInfo> info(const std::string& path) = 0;
  /// Names in a directory, sorted, without "." and "..".
  virtual std::vector<std::string> list(const std::string& path) = 0;
  virtual std::string read_link(const std::string& path) = 0;
  /// Opens a regular file without blocking; anything else than a regular file is an error (ELOOP
  /// for a link, EINVAL for the rest).
  virtual std::unique_ptr<InputFile> open(const std::string& path) = 0;
  virtual SpaceInfo space(const std::string& path) = 0;
  /// Whether this process could create files in the directory (access W_OK | X_OK).
  virtual bool writable(const std::string& directory) = 0;

  // Changing. Nothing is durable before the matching sync.
  /// Creates a new file for writing: EEXIST if anything is at the path.
  virtual std::unique_ptr<OutputFile> create(const std::string& path, std::uint32_t mode) = 0;
  /// Opens an existing regular file for writing (the journal, a job's events).
  virtual std::unique_ptr<OutputFile> open_output(const std::string& path) = 0;
  virtual void make_directory(const std::string& path, std::uint32_t mode) = 0;
  virtual void make_link(const std::string& target, const std::string& path) = 0;
  /// A second name for the same file.
  virtual void hard_link(const std::string& existing, const std::string& path) = 0;
  /// A new file sharing the other's blocks. False, with nothing made, where that is not possible.
  virtual bool reflink(const std::string& existing, const std::string& path,
                       std::uint32_t mode) = 0;
  /// rename(2), or with IfExists::kFail renameat2(RENAME_NOREPLACE).
  virtual void rename(const std::string& from, const std::string& to,
                      IfExists if_exists = IfExists::kReplace) = 0;
  virtual void remove_file(const std::string& path) = 0;
  virtual void remove_directory(const std::string& path) = 0;
  virtual void set_mode(const std::string& path, std::uint32_t mode) = 0;
  /// lchown.
  virtual void set_owner(const std::string& path, std::uint32_t uid, std::uint32_t gid) = 0;
  virtual void set_times(const std::string& path, std::int64_t mtime_ns) = 0;

  // Making durable.
  /// fsync of one directory: names made, renamed and removed in it are durable afterwards.
  virtual void sync_directory(const std::string& path) = 0;
  /// fsync of many files and directories, several at a time, write-back of all started first.
  virtual void sync_all(std::span<const std::string> paths) = 0;

  /// Takes an open-file-description lock on an existing file, waiting for at most `wait`.
  /// Null when somebody else holds it. Not a change of the file system.
  virtual std::unique_ptr<FileLock> lock(const std::string& path, LockKind kind,
                                         std::chrono::milliseconds wait) = 0;
};

/// The real one; one for the process.
std::unique_ptr<FileSystem> make_posix_file_system();

}  // namespace mcpu
