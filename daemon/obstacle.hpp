#pragma once

#include <string>

#include "daemon/configuration.hpp"
#include "daemon/steps.hpp"

namespace mcpu {

/// Why no upgrade replaces what stands at an entry point's link (another program, another
/// instance's launcher, a directory), with what to do about it; empty: nothing keeps it from that.
/// Any thread.
std::string obstacle(const Tools& tools, const Application& app, const EntryPoint& entry);

}  // namespace mcpu
