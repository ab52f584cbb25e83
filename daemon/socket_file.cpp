#include "daemon/socket_file.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstdio>

#include "daemon/durable.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

UniqueFd open_directory(const std::string& path) {
  UniqueFd directory(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory && errno == ENOENT) {
    throw Error(
        Code::kIo,
        "cannot listen: the directory " + escape_path(path) +
            " does not exist; make it with mkdir -m 700, or name another path with --socket",
        {{"errno", ENOENT}, {"path", escape_path(path)}});
  }
  if (!directory) throw io_error("open the directory", path, errno);
  return directory;
}

void refuse_other_files(int directory, const std::string& name, const std::string& path) {
  struct stat info {};
  if (::fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return;
  if (S_ISSOCK(info.st_mode)) return;
  const std::string reason = escape_path(path) + " exists and is not a socket";
  throw Error(Code::kRefused,
              "cannot listen: " + reason + "; remove it, or name another path with --socket",
              {{"reason", reason}});
}

/// The address of a name in a directory, by the directory's descriptor: a socket address has room
/// for 107 bytes only.
sockaddr_un address_in(int directory, const std::string& name, const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const int length = std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s",
                                   directory, name.c_str());
  if (length < 0 || static_cast<std::size_t>(length) >= sizeof address.sun_path) {
    throw io_error("listen (its name is too long: give a shorter one with --socket) at", path,
                   ENAMETOOLONG);
  }
  return address;
}

UniqueFd make_socket() {
  return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

/// The socket of a daemon that died is taken over, that of one that lives is not.
void refuse_listener(int directory, const std::string& name, const std::string& path) {
  const UniqueFd probe = make_socket();
  const sockaddr_un address = address_in(directory, name, path);
  const bool answered =
      ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  if (!answered && errno != EAGAIN) return;
  const std::string reason = "another process listens at " + escape_path(path);
  throw Error(Code::kRefused,
              "cannot listen: " + reason + "; stop it, or name another path with --socket",
              {{"reason", reason}});
}

}  // namespace

SocketFile::SocketFile(const std::string& path, mode_t mode)
    : path_(path), name_(base_name(path)), directory_(open_directory(parent_path(path))) {
  refuse_other_files(directory_.get(), name_, path_);
  refuse_listener(directory_.get(), name_, path_);
  const std::string temporary = "." + name_ + ".new";
  ::unlinkat(directory_.get(), temporary.c_str(), 0);
  socket_ = make_socket();
  const sockaddr_un address = address_in(directory_.get(), temporary, path_);
  struct stat info {};
  if (!socket_ ||
      ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw io_error("make the socket", path_, errno);
  }
  // Nobody can connect before listen(), so that no moment exists with the wrong mode.
  if (::fchmodat(directory_.get(), temporary.c_str(), mode, 0) != 0 ||
      ::fstatat(directory_.get(), temporary.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 ||
      ::listen(socket_.get(), SOMAXCONN) != 0 ||
      ::renameat(directory_.get(), temporary.c_str(), directory_.get(), name_.c_str()) != 0) {
    const int reason = errno;
    ::unlinkat(directory_.get(), temporary.c_str(), 0);
    throw io_error("listen at", path_, reason);
  }
  device_ = info.st_dev;
  inode_ = info.st_ino;
}

SocketFile::~SocketFile() {
  struct stat info {};
  if (!directory_ || ::fstatat(directory_.get(), name_.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return;
  }
  if (info.st_dev == device_ && info.st_ino == inode_) {
    ::unlinkat(directory_.get(), name_.c_str(), 0);
  }
}

}  // namespace mcpu
