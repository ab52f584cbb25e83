#include "daemon/posix_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "proto/error.hpp"

namespace mcpu {

namespace {

FileType to_file_type(mode_t mode) {
  if (S_ISREG(mode)) return FileType::kFile;
  if (S_ISDIR(mode)) return FileType::kDirectory;
  if (S_ISLNK(mode)) return FileType::kLink;
  if (S_ISFIFO(mode)) return FileType::kFifo;
  if (S_ISSOCK(mode)) return FileType::kSocket;
  return FileType::kDevice;
}

class PosixInputFile final : public InputFile {
 public:
  PosixInputFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  std::size_t read_at(std::uint64_t offset, char* buffer, std::size_t size) const override {
    std::size_t done = 0;
    while (done < size) {
      const ssize_t count = uninterrupted([&] {
        return ::pread(fd_.get(), buffer + done, size - done, static_cast<off_t>(offset + done));
      });
      if (count < 0) throw io_error("read", path_, errno);
      if (count == 0) break;
      done += static_cast<std::size_t>(count);
    }
    return done;
  }

  FileInfo info() const override {
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0) throw io_error("examine", path_, errno);
    return to_file_info(status);
  }

 private:
  const UniqueFd fd_;
  const std::string path_;
};

class PosixOutputFile final : public OutputFile {
 public:
  PosixOutputFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  void write_at(std::uint64_t offset, std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t count = uninterrupted([&] {
        return ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      });
      if (count < 0) throw io_error("write", path_, errno);
      bytes.remove_prefix(static_cast<std::size_t>(count));
      offset += static_cast<std::uint64_t>(count);
    }
  }

  void truncate(std::uint64_t size_bytes) override {
    const auto size = static_cast<off_t>(size_bytes);
    if (uninterrupted([&] { return ::ftruncate(fd_.get(), size); }) != 0) {
      throw io_error("truncate", path_, errno);
    }
  }

  void sync() override {
    if (uninterrupted([&] { return ::fdatasync(fd_.get()); }) != 0) {
      throw io_error("sync", path_, errno);
    }
  }

 private:
  const UniqueFd fd_;
  const std::string path_;
};

class PosixFileLock final : public FileLock {
 public:
  explicit PosixFileLock(UniqueFd fd) : fd_(std::move(fd)) {}

 private:
  const UniqueFd fd_;
};

/// One attempt, never waiting. False when somebody else holds it.
bool try_lock(int fd, LockKind kind, const std::string& path) {
  struct flock request {};
  request.l_type = kind == LockKind::kRead ? F_RDLCK : F_WRLCK;
  request.l_whence = SEEK_SET;
  if (uninterrupted([&] { return ::fcntl(fd, F_OFD_SETLK, &request); }) == 0) return true;
  if (errno == EAGAIN || errno == EACCES) return false;
  throw io_error("lock", path, errno);
}

}  // namespace

FileInfo to_file_info(const struct stat& status) {
  FileInfo info;
  info.type = to_file_type(status.st_mode);
  info.mode = status.st_mode & 07777U;
  info.uid = status.st_uid;
  info.gid = status.st_gid;
  info.size_bytes = static_cast<std::uint64_t>(status.st_size);
  info.mtime_ns = status.st_mtim.tv_sec * std::int64_t{1'000'000'000} + status.st_mtim.tv_nsec;
  info.ctime_ns = status.st_ctim.tv_sec * std::int64_t{1'000'000'000} + status.st_ctim.tv_nsec;
  info.device = status.st_dev;
  info.inode = status.st_ino;
  info.links = status.st_nlink;
  return info;
}

UniqueFd open_regular(const std::string& path, int flags, const char* action) {
  UniqueFd fd(uninterrupted([&] {
    return ::open(path.c_str(), flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  }));
  // What a directory, a pipe without a reader and a socket answer.
  if (!fd) throw io_error(action, path, errno == EISDIR || errno == ENXIO ? EINVAL : errno);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) throw io_error(action, path, errno);
  if (!S_ISREG(status.st_mode)) throw io_error(action, path, EINVAL);
  return fd;
}

std::unique_ptr<InputFile> make_input_file(UniqueFd fd, std::string path) {
  return std::make_unique<PosixInputFile>(std::move(fd), std::move(path));
}

std::unique_ptr<OutputFile> make_output_file(UniqueFd fd, std::string path) {
  return std::make_unique<PosixOutputFile>(std::move(fd), std::move(path));
}

std::unique_ptr<FileLock> lock_file(const std::string& path, LockKind kind,
                                    std::chrono::milliseconds wait) {
  constexpr std::chrono::milliseconds kPause{2};
  const auto deadline = std::chrono::steady_clock::now() + wait;
  // A write lock needs a descriptor open for writing, a read lock one for reading.
  UniqueFd fd = open_regular(path, kind == LockKind::kRead ? O_RDONLY : O_RDWR, "lock");
  // Polling: the call that waits cannot be given a limit.
  while (!try_lock(fd.get(), kind, path)) {
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left <= left.zero()) return nullptr;
    std::this_thread::sleep_for(std::min<std::chrono::steady_clock::duration>(left, kPause));
  }
  return std::make_unique<PosixFileLock>(std::move(fd));
}

}  // namespace mcpu
