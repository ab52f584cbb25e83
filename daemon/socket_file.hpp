#pragma once

#include <sys/types.h>

#include <string>

#include "daemon/unique_fd.hpp"

namespace mcpu {

/// A listening Unix socket and its name in the file system. The name appears only once somebody
/// listens behind it, and the destructor removes it only if it is still ours. For one thread.
class SocketFile {
 public:
  /// Binds under a temporary name, listens, and renames over whatever stale socket is at `path`.
  /// The directory must exist; paths beyond the 107 bytes of a socket address are fine. Throws
  /// Error{kIo}, or Error{kRefused} when something else than a socket is there. REQUIRES: the state
  /// lock is held, so that nobody else listens at the path.
  SocketFile(const std::string& path, mode_t mode);
  ~SocketFile();
  SocketFile(SocketFile&&) = default;
  SocketFile& operator=(SocketFile&&) = delete;

  /// Gives the listening descriptor away; the name stays with this.
  UniqueFd take_descriptor() { return std::move(socket_); }

 private:
  std::string path_, name_;
  UniqueFd directory_, socket_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace mcpu
