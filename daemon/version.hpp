#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mcpu {

/// A semantic version (semver.org 2.0.0), leniently read: an optional leading "v", missing minor or
/// patch numbers count as 0.
struct Version {
  std::uint64_t major = 0, minor = 0, patch = 0;
  std::vector<std::string> pre_release;
  std::strong_ordering operator<=>(const Version& other) const;  ///< precedence of section 11
  bool operator==(const Version& other) const = default;
};

std::optional<Version> parse_version(std::string_view text);

}  // namespace mcpu
