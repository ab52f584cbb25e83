#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace mcpu {

/// The remedy for a release that is damaged.
inline constexpr const char* kMendRelease = "run 'mcpctl upgrade --force', or 'mcpctl rollback'";

/// The protocol's Problem for what is wrong, in one sentence: what to do about it stands behind the
/// last ": ", as every message here is written, but for what the system or a library said; then,
/// and where there is none, it is `remedy`.
nlohmann::json problem(const std::string& text, const std::string& remedy = "");

}  // namespace mcpu
