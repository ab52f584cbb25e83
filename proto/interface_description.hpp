#pragma once

#include <string_view>

namespace mcpu {

/// The text of dev.mcplocal.Upgrade.varlink, as it was at build time: what the daemon serves.
std::string_view interface_description();

}  // namespace mcpu
