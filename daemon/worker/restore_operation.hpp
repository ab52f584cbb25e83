#pragma once

#include <optional>
#include <string>

#include "daemon/home.hpp"
#include "daemon/worker/managed_file.hpp"

namespace mcpu {

/// Puts one managed file back, as Home::restore describes. Idempotent: stopped at any point and run
/// again it ends in the same state. Throws Error{kIo} when writing fails.
RestoreResult restore_file(const HomeView& view, const FileState& wanted, std::string_view content,
                           const std::optional<FileState>& expected);

/// Removes what an interrupted restore_file of `path` left behind.
void clean_file(const HomeView& view, const std::string& path);

}  // namespace mcpu
