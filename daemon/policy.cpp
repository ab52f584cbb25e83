#include "daemon/policy.hpp"

#include <grp.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "daemon/version.hpp"
#include "proto/error.hpp"

namespace mcpu {
namespace {

/// Root, and the user the daemon runs as, may do everything.
bool is_owner(const Access& access, const Peer& peer) {
  return peer.uid == 0 || peer.uid == access.own_uid;
}

bool in_group(const Access& access, const Peer& peer) {
  if (!access.group_id) return false;
  return peer.gid == *access.group_id ||
         std::find(peer.groups.begin(), peer.groups.end(), *access.group_id) != peer.groups.end();
}

[[noreturn]] void refuse(const std::string& action, const std::string& text) {
  throw Error(Code::kNotAuthorized, text, {{"action", action}});
}

/// What of a request chooses the code that runs, or overrules others; empty if nothing does.
std::string owner_only_option(const JobRequest& request) {
  if (request.from) return "--from";
  if (request.worktree) return "--worktree";
  if (request.force) return "--force";
  if (request.kind == JobKind::kUpgrade && request.to && !names_version(*request.to))
    return "--to of something that is not a version";
  if (request.configs == ConfigPolicy::kAlways) return "--configs=always";
  return {};
}

}  // namespace

Access make_access(bool user_mode, std::uint32_t own_uid, const std::string& group) {
  Access access{user_mode, own_uid, group, {}};
  if (user_mode || group.empty()) return access;
  std::vector<char> buffer(1 << 14);
  struct group entry = {};
  struct group* found = nullptr;
  constexpr std::size_t kMaxBytes = 1 << 22;  // a group with very many members
  while (getgrnam_r(group.c_str(), &entry, buffer.data(), buffer.size(), &found) == ERANGE &&
         buffer.size() < kMaxBytes)
    buffer.resize(buffer.size() * 2);
  if (found) access.group_id = found->gr_gid;
  return access;
}

bool may_change(const Access& access, const Peer& peer) {
  return is_owner(access, peer) || (!access.user_mode && in_group(access, peer));
}

void authorize_change(const Access& access, const Peer& peer, std::string_view action) {
  if (may_change(access, peer)) return;
  const std::string name(action);
  if (access.user_mode)
    refuse(name, "only the user with uid " + std::to_string(access.own_uid) + " may " + name +
                     " with this daemon; ask your own one");
  if (!access.group_id)
    refuse(name, "only root may " + name + " (there is no group \"" + access.group +
                     "\"); run it with sudo");
  refuse(name, "you may not " + name + " here: ask root, or a member of the group " + access.group +
                   "; or join that group and log in again");
}

void authorize_job(const Access& access, const Peer& peer, const JobRequest& request) {
  const std::string kind(kind_name(request.kind));
  authorize_change(access, peer, kind);
  if (is_owner(access, peer)) return;
  const std::string option = owner_only_option(request);
  if (option.empty()) return;
  refuse(kind + " " + option,
         "only root may " + kind + " with " + option +
             ": it decides for every user of this machine; leave it out, or run it with sudo");
}

bool may_see(const Access& access, std::uint32_t uid, const Peer& peer) {
  return peer.uid == uid || peer.uid == 0 || (access.user_mode && peer.uid == access.own_uid);
}

}  // namespace mcpu
