#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace mcpu {

/// A process that holds a lock on a file.
struct LockHolder {
  std::int32_t pid = 0;
  std::string name;  ///< of its program, as it may be shown; empty: unknown

  /// "process 4711 (python3.11)"
  std::string shown() const;
};

/// Who holds a lock on a file, among the processes that this one may look into; empty: none of
/// them. The kernel names no owner of an open-file-description lock, so /proc is searched: for
/// messages, when a lock was refused. Any thread.
std::optional<LockHolder> find_lock_holder(const std::string& path);

}  // namespace mcpu
