#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "client/render.hpp"

namespace mcpu {

/// What a person reads for a reply, as printable lines. `mcpctl` is the command that reaches the
/// same instance again ("mcpctl --user"): it goes into the remedies.
std::string status_view(const nlohmann::json& reply, const Paint& paint, const std::string& mcpctl,
                        TimePoint now);
std::string jobs_view(const nlohmann::json& reply, const Paint& paint);
std::string releases_view(const nlohmann::json& reply, const Paint& paint);
std::string plan_view(const nlohmann::json& reply, const Paint& paint);

}  // namespace mcpu
