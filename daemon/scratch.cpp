#include "daemon/scratch.hpp"

#include <unistd.h>

#include <algorithm>

#include "daemon/durable.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

constexpr std::chrono::seconds kLimit{10};

Identity owner_of(std::uint32_t uid, const std::vector<ManagedUser>& users) {
  const auto found =
      std::ranges::find_if(users, [&](const ManagedUser& user) { return user.who.uid == uid; });
  return found == users.end() ? identity_of(uid) : found->who;
}

void remove_one(const Tools& tools, const std::string& path,
                const std::vector<ManagedUser>& users) {
  const auto info = tools.fs.info(path);
  if (!info) return;
  if (info->uid == ::geteuid() || info->type != FileType::kDirectory) {
    return remove_tree(tools.fs, path);
  }
  Home home(tools.processes, owner_of(info->uid, users), {});
  home.limit(std::chrono::steady_clock::now() + kLimit, nullptr);
  home.empty_directory(path);
  tools.fs.remove_directory(path);
}

void remove_below(const Tools& tools, const std::string& directory,
                  const std::vector<ManagedUser>& users) {
  if (!tools.fs.info(directory)) return;
  bool all = true;
  for (const std::string& name : tools.fs.list(directory)) {
    try {
      remove_one(tools, directory + "/" + name, users);
    } catch (const Error&) {
      all = false;
    }
  }
  if (all) tools.fs.remove_directory(directory);
}

}  // namespace

void remove_scratch(const Tools& tools, JobId job, const std::vector<ManagedUser>& users) {
  remove_below(tools, tools.layout.scratch(job), users);
}

void remove_all_scratch(const Tools& tools) {
  const std::string scratch = tools.layout.state + "/scratch";
  if (!tools.fs.info(scratch)) return;
  for (const std::string& job : tools.fs.list(scratch))
    remove_below(tools, scratch + "/" + job, {});
  if (tools.fs.list(scratch).empty()) tools.fs.remove_directory(scratch);
}

}  // namespace mcpu
