#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <climits>
#include <memory>

#include "daemon/file_system.hpp"
#include "daemon/parallel.hpp"
#include "daemon/posix_files.hpp"
#include "proto/error.hpp"

#include <dirent.h>

namespace mcpu {

namespace {

void check(int result, const char* action, const std::string& path) {
  if (result != 0) throw io_error(action, path, errno);
}

UniqueFd open_path(const std::string& path, int flags, const char* action) {
  UniqueFd fd(uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC); }));
  if (!fd) throw io_error(action, path, errno);
  return fd;
}

/// A new file with exactly this mode, whatever the umask is.
UniqueFd create_file(const std::string& path, std::uint32_t mode) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd fd(uninterrupted([&] { return ::open(path.c_str(), kFlags, mode); }));
  if (!fd) throw io_error("create", path, errno);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 ||
      ((status.st_mode & 07777U) != mode && ::fchmod(fd.get(), mode) != 0)) {
    const int error = errno;
    ::unlink(path.c_str());
    throw io_error("create", path, error);
  }
  return fd;
}

void sync_path(const std::string& path) {
  const UniqueFd fd = open_path(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, "sync");
  check(uninterrupted([&] { return ::fsync(fd.get()); }), "sync", path);
}

/// Only a hint, so that the syncs that follow find their writes under way: errors show up there.
void start_write_back(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (fd) ::sync_file_range(fd.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

class PosixFileSystem final : public FileSystem {
 public:
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
  void rename(const std::string& from, const std::string& to, IfExists if_exists) override;
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
  /// The device that last said that it cannot reflink, so that a tree of thousands of files does
  /// not cost a file made and removed again for each of them.
  std::atomic<std::uint64_t> no_reflink_device_{0};
};

std::optional<FileInfo> PosixFileSystem::info(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) return to_file_info(status);
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  throw io_error("examine", path, errno);
}

std::vector<std::string> PosixFileSystem::list(const std::string& path) {
  UniqueFd fd = open_path(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, "list");
  const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(fd.get()));
  if (!directory) throw io_error("list", path, errno);
  fd.release();
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(directory.get())) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
    errno = 0;
  }
  if (errno != 0) throw io_error("list", path, errno);
  std::sort(names.begin(), names.end());
  return names;
}

std::string PosixFileSystem::read_link(const std::string& path) {
  std::array<char, PATH_MAX> target{};
  const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
  if (size < 0) throw io_error("read the link", path, errno);
  return {target.data(), static_cast<std::size_t>(size)};
}

std::unique_ptr<InputFile> PosixFileSystem::open(const std::string& path) {
  return make_input_file(open_regular(path, O_RDONLY, "open"), path);
}

SpaceInfo PosixFileSystem::space(const std::string& path) {
  struct statvfs status {};
  check(uninterrupted([&] { return ::statvfs(path.c_str(), &status); }), "measure the space at",
        path);
  const auto blocks = ::geteuid() == 0 ? status.f_bfree : status.f_bavail;
  return {.free_bytes = std::uint64_t{blocks} * status.f_frsize,
          .read_only = (status.f_flag & ST_RDONLY) != 0,
          .no_exec = (status.f_flag & ST_NOEXEC) != 0};
}

bool PosixFileSystem::writable(const std::string& directory) {
  // The dot makes everything but a directory, or a link to one, fail.
  return ::faccessat(AT_FDCWD, (directory + "/.").c_str(), W_OK | X_OK, AT_EACCESS) == 0;
}

std::unique_ptr<OutputFile> PosixFileSystem::create(const std::string& path, std::uint32_t mode) {
  return make_output_file(create_file(path, mode), path);
}

std::unique_ptr<OutputFile> PosixFileSystem::open_output(const std::string& path) {
  return make_output_file(open_regular(path, O_WRONLY, "open for writing"), path);
}

void PosixFileSystem::make_directory(const std::string& path, std::uint32_t mode) {
  check(::mkdir(path.c_str(), mode), "create the directory", path);
  struct stat status {};
  check(::lstat(path.c_str(), &status), "create the directory", path);
  // Beyond the umask: a group that the directory inherits from the one above stays inherited.
  if ((status.st_mode & 0777U) != (mode & 0777U)) set_mode(path, (status.st_mode & 07000U) | mode);
}

void PosixFileSystem::make_link(const std::string& target, const std::string& path) {
  check(::symlink(target.c_str(), path.c_str()), "create the link", path);
}

void PosixFileSystem::hard_link(const std::string& existing, const std::string& path) {
  check(::link(existing.c_str(), path.c_str()), "create the hard link", path);
}

bool PosixFileSystem::reflink(const std::string& existing, const std::string& path,
                              std::uint32_t mode) {
  const UniqueFd from = open_regular(existing, O_RDONLY, "open");
  struct stat status {};
  check(::fstat(from.get(), &status), "examine", existing);
  if (no_reflink_device_ == status.st_dev) return false;
  const UniqueFd to = create_file(path, mode);
  if (uninterrupted([&] { return ::ioctl(to.get(), FICLONE, from.get()); }) == 0) return true;
  const int error = errno;
  check(::unlink(path.c_str()), "remove", path);
  if (error == EOPNOTSUPP || error == ENOTTY) no_reflink_device_ = status.st_dev;
  if (error == EOPNOTSUPP || error == ENOTTY || error == EXDEV || error == EINVAL) return false;
  throw io_error("reflink", path, error);
}

void PosixFileSystem::rename(const std::string& from, const std::string& to, IfExists if_exists) {
  const unsigned flags = if_exists == IfExists::kFail ? RENAME_NOREPLACE : 0;
  check(::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags),
        "rename to its final name", to);
}

void PosixFileSystem::remove_file(const std::string& path) {
  check(::unlink(path.c_str()), "remove", path);
}

void PosixFileSystem::remove_directory(const std::string& path) {
  check(::rmdir(path.c_str()), "remove the directory", path);
}

void PosixFileSystem::set_mode(const std::string& path, std::uint32_t mode) {
  check(::fchmodat(AT_FDCWD, path.c_str(), mode, AT_SYMLINK_NOFOLLOW), "change the mode of", path);
}

void PosixFileSystem::set_owner(const std::string& path, std::uint32_t uid, std::uint32_t gid) {
  check(::lchown(path.c_str(), uid, gid), "change the owner of", path);
}

void PosixFileSystem::set_times(const std::string& path, std::int64_t mtime_ns) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  std::int64_t nanoseconds = mtime_ns % kSecond;
  if (nanoseconds < 0) nanoseconds += kSecond;
  const std::array<timespec, 2> times{
      timespec{.tv_sec = 0, .tv_nsec = UTIME_OMIT},
      timespec{.tv_sec = (mtime_ns - nanoseconds) / kSecond, .tv_nsec = nanoseconds}};
  check(::utimensat(AT_FDCWD, path.c_str(), times.data(), AT_SYMLINK_NOFOLLOW),
        "change the time of", path);
}

void PosixFileSystem::sync_directory(const std::string& path) {
  const UniqueFd fd = open_path(path, O_RDONLY | O_DIRECTORY, "sync the directory");
  check(uninterrupted([&] { return ::fsync(fd.get()); }), "sync the directory", path);
}

void PosixFileSystem::sync_all(std::span<const std::string> paths) {
  // Waiting for the device, not computing: concurrent syncs share journal commits.
  constexpr std::size_t kThreads = 8;
  for (const std::string& path : paths) start_write_back(path);
  parallel_for(paths.size(), kThreads, [&](std::size_t i) { sync_path(paths[i]); });
}

std::unique_ptr<FileLock> PosixFileSystem::lock(const std::string& path, LockKind kind,
                                                std::chrono::milliseconds wait) {
  return lock_file(path, kind, wait);
}

}  // namespace

std::unique_ptr<FileSystem> make_posix_file_system() { return std::make_unique<PosixFileSystem>(); }

}  // namespace mcpu
