#pragma once

#include <string>

#include "daemon/configuration.hpp"
#include "daemon/layout.hpp"

namespace mcpu {

/// Reads an instance's configuration file; without one (and unless it was named on the command
/// line) the built-in configuration. Throws Error{kConfig} for whatever is wrong with its content
/// or the file itself: in system mode it decides what runs as everybody, so it must be root's or
/// the daemon's own and not writable by others. `home` is what `~/` stands for.
Configuration load_configuration(const Instance& instance, const std::string& home);

/// What tells one version of a configuration file from the next without reading it; empty: there is
/// none. Links are followed.
std::string configuration_stamp(const Instance& instance);

}  // namespace mcpu
