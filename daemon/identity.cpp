#include "daemon/identity.hpp"

#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <optional>

#include "proto/error.hpp"

namespace mcpu {
namespace {

using Lookup = std::function<int(passwd*, char*, std::size_t, passwd**)>;

Identity from_entry(const passwd& entry) {
  Identity identity{entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir, entry.pw_shell};
  if (identity.shell.empty()) identity.shell = "/bin/sh";
  return identity;
}

/// Empty when the database has no such user. A database that cannot be asked is Error{kIo}.
std::optional<Identity> look_up(const std::string& what, const Lookup& lookup) {
  std::string buffer(1024, '\0');
  passwd entry{};
  passwd* found = nullptr;
  int failure = 0;
  while ((failure = lookup(&entry, buffer.data(), buffer.size(), &found)) == ERANGE) {
    buffer.resize(buffer.size() * 2);
  }
  if (found != nullptr) return from_entry(*found);
  // POSIX lets these stand for "no such user" too.
  if (failure == 0 || failure == ENOENT || failure == ESRCH) return std::nullopt;
  throw io_error("look up", what, failure);
}

std::optional<Identity> look_up_uid(std::uint32_t uid) {
  return look_up("uid " + std::to_string(uid),
                 [uid](passwd* entry, char* buffer, std::size_t size, passwd** found) {
                   return ::getpwuid_r(uid, entry, buffer, size, found);
                 });
}

Identity required(std::optional<Identity> identity, const std::string& what) {
  if (identity && identity->home.starts_with('/')) return *std::move(identity);
  const auto* reason =
      identity ? " has no absolute home directory in the password database: correct it (usermod "
                 "--home) or take the user out of the configuration"
               : " is not in the password database: create it or correct the configuration";
  throw Error(Code::kNotFound, what + reason, {{"what", what}});
}

}  // namespace

Identity identity_of(const std::string& user_name) {
  const auto what = "user \"" + user_name + "\"";
  return required(look_up(what,
                          [&](passwd* entry, char* buffer, std::size_t size, passwd** found) {
                            return ::getpwnam_r(user_name.c_str(), entry, buffer, size, found);
                          }),
                  what);
}

Identity identity_of(std::uint32_t uid) {
  return required(look_up_uid(uid), "user with uid " + std::to_string(uid));
}

Identity own_identity() {
  const auto uid = ::geteuid();
  // A container may run us under a uid nobody entered anywhere; HOME is enough to work with.
  auto identity = look_up_uid(uid).value_or(
      Identity{uid, ::getegid(), std::to_string(uid), std::string(), "/bin/sh"});
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') identity.home = home;
  return required(std::move(identity), "user with uid " + std::to_string(uid));
}

nlohmann::json to_json(const Identity& who) {
  return {{"uid", who.uid},
          {"gid", who.gid},
          {"name", who.name},
          {"home", who.home},
          {"shell", who.shell}};
}

Identity identity_from_json(const nlohmann::json& document) {
  return {document.at("uid"), document.at("gid"), document.at("name"), document.at("home"),
          document.at("shell")};
}

}  // namespace mcpu
