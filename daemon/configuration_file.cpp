#include "daemon/configuration_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <optional>
#include <system_error>

#include "daemon/configuration_reader.hpp"
#include "daemon/unique_fd.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {
namespace {

[[noreturn]] void refuse_file(const std::string& file, const std::string& reason) {
  throw Error(Code::kConfig, escape_path(file) + ": " + reason,
              {{"file", file}, {"line", 0}, {"key", ""}, {"reason", reason}});
}

[[noreturn]] void refuse_unreadable(const std::string& file) {
  refuse_file(file, "cannot be read: " + std::generic_category().message(errno));
}

void judge_file(const std::string& file, const struct stat& status, bool user_mode) {
  if (!S_ISREG(status.st_mode)) refuse_file(file, "is not a regular file");
  if (user_mode) return;
  const std::string name = escape_path(file);
  if (status.st_uid != 0 && status.st_uid != geteuid())
    refuse_file(file, "belongs to uid " + std::to_string(status.st_uid) +
                          ", who could have anything run as root: chown root " + name);
  if (status.st_mode & (S_IWGRP | S_IWOTH))
    refuse_file(file, "can be written by others than its owner: chmod go-w " + name);
}

std::string read_all(const std::string& file, int descriptor) {
  std::string text;
  char buffer[1 << 14];
  while (text.size() <= kMaxConfigurationBytes) {
    const ssize_t got = read(descriptor, buffer, sizeof buffer);
    if (got == 0) break;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) refuse_unreadable(file);
    text.append(buffer, static_cast<std::size_t>(got));
  }
  return text;
}

/// A link that leads nowhere is no missing file: somebody meant what it should lead to.
void refuse_dangling_link(const std::string& file) {
  std::string target(PATH_MAX, '\0');
  const ssize_t length = readlink(file.c_str(), target.data(), target.size());
  if (length < 0) return;
  target.resize(static_cast<std::size_t>(length));
  refuse_file(file, "is a link to " + escape_path(target) +
                        ", which does not exist: restore that file, or remove the link to have "
                        "the built-in values");
}

/// Empty when there is no such file.
std::optional<std::string> read_file(const std::string& file, bool user_mode) {
  // A link is followed: people keep their configuration in a repository of dotfiles.
  const UniqueFd descriptor(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!descriptor) {
    if (errno != ENOENT && errno != ENOTDIR) refuse_unreadable(file);
    refuse_dangling_link(file);
    return {};
  }
  struct stat status = {};
  if (fstat(descriptor.get(), &status) != 0) refuse_unreadable(file);
  judge_file(file, status, user_mode);
  return read_all(file, descriptor.get());
}

}  // namespace

Configuration load_configuration(const Instance& instance, const std::string& home) {
  const std::optional<std::string> text = read_file(instance.config_file, instance.user_mode);
  if (text) return parse_configuration(*text, instance.config_file, instance.link_directory, home);
  if (instance.config_required) refuse_file(instance.config_file, "does not exist");
  return default_configuration(instance.link_directory);
}

std::string configuration_stamp(const Instance& instance) {
  struct stat info {};
  if (::stat(instance.config_file.c_str(), &info) != 0) return {};
  return std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino) + ":" +
         std::to_string(info.st_ctim.tv_sec) + "." + std::to_string(info.st_ctim.tv_nsec);
}

}  // namespace mcpu
