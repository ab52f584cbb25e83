#pragma once

#include <string_view>

namespace mcpu {

/// What all copies of a release have in common: one that is staged again because the stored one is
/// damaged is called ID~JOB.
inline std::string_view without_copy(std::string_view id) { return id.substr(0, id.find('~')); }

}  // namespace mcpu
