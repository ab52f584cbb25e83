#include "daemon/writers.hpp"

#include <grp.h>

#include "daemon/identity.hpp"

namespace mcpu {

namespace {

constexpr std::uint32_t kWritableByAll = 0002;
constexpr std::uint32_t kWritableByGroup = 0020;

/// Whether nobody but the owner and root is in the group, as in that which each user has.
bool is_private_group(std::uint32_t gid, std::uint32_t owner) {
  if (gid == 0) return true;
  const Identity user = identity_of(owner);
  const group* members = ::getgrgid(gid);
  if (user.gid != gid || members == nullptr || user.name != members->gr_name) return false;
  for (char** member = members->gr_mem; *member != nullptr; ++member) {
    if (user.name != *member) return false;
  }
  return true;
}

}  // namespace

std::string others_who_write(const FileInfo& info) {
  if (info.type == FileType::kLink) return {};  // its mode says nothing
  if (info.mode & kWritableByAll) return "everybody";
  if (!(info.mode & kWritableByGroup) || is_private_group(info.gid, info.uid)) return {};
  return "the group with gid " + std::to_string(info.gid);
}

}  // namespace mcpu
