#pragma once

#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <string>

#include "daemon/file_system.hpp"
#include "daemon/unique_fd.hpp"

namespace mcpu {

/// Calls `call` again as long as a signal interrupts it.
template <typename Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

FileInfo to_file_info(const struct stat& status);

/// Opens a regular file without following a link in the last component and without blocking.
/// `action` is the verb for errors. Throws ELOOP for a link, EINVAL for what is no regular file.
UniqueFd open_regular(const std::string& path, int flags, const char* action);

std::unique_ptr<InputFile> make_input_file(UniqueFd fd, std::string path);
std::unique_ptr<OutputFile> make_output_file(UniqueFd fd, std::string path);

/// See FileSystem::lock.
std::unique_ptr<FileLock> lock_file(const std::string& path, LockKind kind,
                                    std::chrono::milliseconds wait);

}  // namespace mcpu
