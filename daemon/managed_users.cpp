#include "daemon/managed_users.hpp"

#include <algorithm>

#include "daemon/service_account.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

bool is_among(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

/// The user the job is for when none is configured; empty: nobody is known.
std::optional<Identity> default_user(const UserFacts& facts, JobLog& log) {
  for (const auto& uid : {facts.owner, facts.login_uid}) {
    if (!uid || *uid == 0) continue;
    try {
      return identity_of(*uid);
    } catch (const Error& error) {
      // The account was removed, its files were not.
      log.warning("users.gone", {{"reason", error.what()}});
    }
  }
  return std::nullopt;
}

std::optional<ManagedUser> configured_user(const std::string& name, bool required, JobLog& log) {
  try {
    return ManagedUser{identity_of(name), required};
  } catch (const Error& error) {
    if (required) throw refused(error.what());
    log.warning("users.left_out", {{"user", name}, {"reason", error.what()}});
    return std::nullopt;
  }
}

/// Those the configuration names, or the default one.
std::vector<ManagedUser> named_users(const UserFacts& facts, JobLog& log) {
  std::vector<ManagedUser> users;
  const auto add = [&](const std::string& name) {
    auto user = configured_user(name, is_among(facts.required, name), log);
    if (user) users.push_back(std::move(*user));
  };
  for (const std::string& name : facts.configured) add(name);
  if (users.empty() && facts.configured.empty()) {
    if (auto who = default_user(facts, log)) {
      users.push_back({*who, facts.required.empty() || is_among(facts.required, who->name)});
    }
  }
  for (const std::string& name : facts.required) {
    const bool there =
        std::ranges::any_of(users, [&](const ManagedUser& user) { return user.who.name == name; });
    if (!there) add(name);
  }
  return users;
}

}  // namespace

std::vector<ManagedUser> managed_users(const UserFacts& facts, JobLog& log) {
  std::vector<ManagedUser> users = named_users(facts, log);
  for (ManagedUser& user : users) {
    if (facts.required.empty() && facts.owner == user.who.uid) user.required = true;
  }
  // Those who are configured and not there were told of, each.
  const bool nobody = users.empty() && facts.configured.empty();
  if (std::ranges::none_of(users, &ManagedUser::required)) {
    users.push_back({service_account(kCheckAccount), true, true});
  }
  if (nobody) log.warning("users.none", {{"user", kCheckAccount}});
  std::ranges::stable_partition(users, &ManagedUser::required);
  return users;
}

}  // namespace mcpu
