#include "daemon/state_directory.hpp"

#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "daemon/lock_holder.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {
namespace {

constexpr std::uint32_t kPrivate = 0700;
constexpr std::uint32_t kPublic = 0755;

/// Makes a directory and what is missing above it. True if it was made now.
bool make_missing(FileSystem& fs, const std::string& path, std::uint32_t mode) {
  if (path.empty() || path == "/" || fs.info(path)) return false;
  make_missing(fs, path.substr(0, path.rfind('/')), mode);
  try {
    fs.make_directory(path, mode);
  } catch (const Error& error) {
    if (error.sys() != EEXIST) throw;  // somebody was faster
  }
  return true;
}

/// What the lock file says of its holder. It is somebody else's text: nothing of it is required.
nlohmann::json said_in(FileSystem& fs, const std::string& path) {
  std::string text(4096, '\0');
  text.resize(fs.open(path)->read_at(0, text.data(), text.size()));
  nlohmann::json said =
      nlohmann::json::parse(text.substr(0, text.find('\n')), nullptr, /*allow_exceptions=*/false);
  return said.is_object() ? said : nlohmann::json::object();
}

[[noreturn]] void refuse_second(FileSystem& fs, const std::string& path) {
  const nlohmann::json said = said_in(fs, path);
  const auto holder = find_lock_holder(path);
  std::string reason =
      (holder ? holder->shown() : "another process") + " holds " + escape_path(path);
  nlohmann::json context = nlohmann::json::object();
  if (holder) context["pid"] = holder->pid;
  // Anything can hold the lock; only the process that wrote the file is a daemon that listens.
  const auto socket = said.find("socket");
  const bool wrote = !holder || said.value("pid", nlohmann::json()) == holder->pid;
  if (wrote && socket != said.end() && socket->is_string()) {
    reason += ", listening at " + escape_path(socket->get<std::string>());
    context["socket"] = *socket;
  }
  context["reason"] = reason;
  throw Error(Code::kRefused, reason + "; use that one, or stop it first", context);
}

void write_holder(FileSystem& fs, const std::string& path, const std::string& socket) {
  const nlohmann::json holder = {{"format", 1}, {"pid", getpid()}, {"socket", to_utf8(socket)}};
  const std::string text = holder.dump() + "\n";
  const auto file = fs.open_output(path);
  file->write_at(0, text);
  file->truncate(text.size());
}

}  // namespace

void make_state_directory(FileSystem& fs, const Instance& instance) {
  const std::string& path = instance.layout.state;
  const std::uint32_t mode = instance.user_mode ? kPrivate : kPublic;
  make_missing(fs, path, mode);
  const FileInfo info = fs.info(path).value_or(FileInfo{});
  const std::string name = escape_path(path);
  if (info.type != FileType::kDirectory)
    throw refused("the state directory " + name + " is not a directory; move it away");
  if (info.uid != geteuid())
    throw refused("the state directory " + name + " belongs to uid " + std::to_string(info.uid) +
                  ", not to us; give another one with --state-dir");
  if (info.mode != mode) fs.set_mode(path, mode);
}

void make_socket_directory(FileSystem& fs, const Instance& instance) {
  const std::string& socket = instance.socket;
  make_missing(fs, socket.substr(0, socket.rfind('/')), instance.user_mode ? kPrivate : kPublic);
}

std::unique_ptr<FileLock> take_state_lock(FileSystem& fs, const Layout& layout,
                                          const std::string& socket) {
  const std::string path = layout.lock_file();
  try {
    fs.create(path, 0600);
  } catch (const Error& error) {
    if (error.sys() != EEXIST) throw;
  }
  std::unique_ptr<FileLock> lock;
  try {
    lock = fs.lock(path, LockKind::kWrite, std::chrono::milliseconds(0));
  } catch (const Error& error) {
    throw refused(std::string(error.what()) + ": move it away, we make it anew");
  }
  if (!lock) refuse_second(fs, path);
  write_holder(fs, path, socket);
  return lock;
}

}  // namespace mcpu
