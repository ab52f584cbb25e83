#pragma once

#include <string>

#include "daemon/file_system.hpp"

namespace mcpu {

/// Who else than its owner and root may write a file or directory by its mode: "everybody", "the
/// group with gid 12"; empty: nobody. A group that only the owner is in, as each user has one, is
/// nobody else. Any thread.
std::string others_who_write(const FileInfo& info);

}  // namespace mcpu
