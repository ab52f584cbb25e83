#include "daemon/service_account.hpp"

#include <string>

#include "proto/error.hpp"

namespace mcpu {

Identity service_account(const char* name) {
  const std::string account(name);
  Identity who;
  try {
    who = identity_of(account);
  } catch (const Error& error) {
    if (error.code() != Code::kNotFound) throw;
    throw refused(
        "the system user " + account +
        " does not exist, and root does none of its work: make it with 'systemd-sysusers', or "
        "'useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin " +
        account + "'");
  }
  if (who.uid == 0) {
    throw refused("the system user " + account + " has the uid of root: give it its own");
  }
  return who;
}

}  // namespace mcpu
