#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "proto/event.hpp"

namespace mcpu {

/// Something worth telling that a lower layer found: an event without its job, number and time.
struct Notice {
  Tier tier = Tier::kInfo;
  std::string id;  ///< of the message catalogue
  nlohmann::json fields = nlohmann::json::object();
  std::optional<std::uint32_t> concerns = {};  ///< whose details these are; empty: everybody's
};

}  // namespace mcpu
