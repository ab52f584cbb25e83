#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mcpu {

/// A semantic version (semver.org 2.0.0), leniently read: an optional leading "v", missing minor or
/// patch numbers count as 0. What `git describe` adds to a tag ("1.3.11-4-gabcdef0") is not taken
/// for a pre-release: four commits after 1.3.11 are newer than 1.3.11, not older.
struct Version {
  std::uint64_t major = 0, minor = 0, patch = 0;
  std::vector<std::string> pre_release;
  std::uint64_t commits_after = 0;  ///< the 4 of "1.3.11-4-gabcdef0"
  /// Precedence of section 11, then the commits after the tag.
  std::strong_ordering operator<=>(const Version& other) const;
  bool operator==(const Version& other) const = default;
};

/// Empty for anything that is not a version; build metadata ("+...") is checked and left out.
std::optional<Version> parse_version(std::string_view text);

/// The text without the "v" that stands before a digit: "v1.3.11" and "1.3.11" name one release.
std::string without_v(std::string_view text);

/// Whether a text is to be read as a version ("1.3.11", "v2.0.0-rc.1"): never a branch, a commit or
/// what `git describe` prints, which names a commit.
bool names_version(std::string_view text);

}  // namespace mcpu
