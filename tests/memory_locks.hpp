#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "daemon/file_system.hpp"

namespace mcpu {

/// The open-file-description locks of MemoryFileSystem. Thread safe; locks keep their table alive.
class MemoryLocks : public std::enable_shared_from_this<MemoryLocks> {
 public:
  /// Null when others still hold it after `wait`.
  std::unique_ptr<FileLock> take(std::uint64_t file, LockKind kind, std::chrono::milliseconds wait);

 private:
  class Lock;
  struct Holders {
    int readers = 0;
    bool writer = false;
  };

  static bool free(const Holders& holders, LockKind kind);
  void release(std::uint64_t file, LockKind kind);

  std::mutex mutex_;
  std::condition_variable released_;
  std::map<std::uint64_t, Holders> holders_;
};

}  // namespace mcpu
