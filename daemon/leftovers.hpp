#pragma once

#include <vector>

#include "daemon/configuration.hpp"
#include "daemon/file_system.hpp"
#include "daemon/layout.hpp"

namespace mcpu {

/// Removes scratch homes and temporary files that a crash left: in the state directory
/// and beside the entry points' links. Those in homes are their worker's. REQUIRES: nothing is
/// being written: called once, before anything else is started.
void remove_leftovers(FileSystem& fs, const Layout& layout, const std::vector<EntryPoint>& entries);

}  // namespace mcpu
