#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mcpu {

/// The version in a changelog's first heading that has one ("## v1.3.11 (2026-01-09)", "##
/// [1.2.0]"); empty if there is none.
std::string first_version(std::string_view changelog);

/// The lines of a changelog that belong to versions newer than `from` and not newer than `to`,
/// headings included, at most `max_lines` (then a line says how many more). Empty if either is not
/// a version.
std::vector<std::string> changes_between(std::string_view changelog, std::string_view from,
                                         std::string_view to, std::size_t max_lines = 40);

}  // namespace mcpu
