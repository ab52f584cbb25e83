#include "tests/memory_locks.hpp"

namespace mcpu {

class MemoryLocks::Lock final : public FileLock {
 public:
  Lock(std::shared_ptr<MemoryLocks> table, std::uint64_t file, LockKind kind)
      : table_(std::move(table)), file_(file), kind_(kind) {}
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  ~Lock() override { table_->release(file_, kind_); }

 private:
  const std::shared_ptr<MemoryLocks> table_;
  const std::uint64_t file_;
  const LockKind kind_;
};

bool MemoryLocks::free(const Holders& holders, LockKind kind) {
  return !holders.writer && (kind == LockKind::kRead || holders.readers == 0);
}

std::unique_ptr<FileLock> MemoryLocks::take(std::uint64_t file, LockKind kind,
                                            std::chrono::milliseconds wait) {
  std::unique_lock guard(mutex_);
  Holders& holders = holders_[file];
  if (!released_.wait_for(guard, wait, [&] { return free(holders, kind); })) return nullptr;
  if (kind == LockKind::kRead) {
    ++holders.readers;
  } else {
    holders.writer = true;
  }
  return std::make_unique<Lock>(shared_from_this(), file, kind);
}

void MemoryLocks::release(std::uint64_t file, LockKind kind) {
  const std::lock_guard guard(mutex_);
  Holders& holders = holders_[file];
  if (kind == LockKind::kRead) {
    --holders.readers;
  } else {
    holders.writer = false;
  }
  released_.notify_all();
}

}  // namespace mcpu
