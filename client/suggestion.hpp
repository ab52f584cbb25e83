#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mcpu {

/// The candidate that somebody who typed `word` probably meant; empty if none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace mcpu
