#pragma once

#include <string>

#include "daemon/configuration.hpp"
#include "daemon/configuration_section.hpp"

namespace mcpu {

/// What paths of the configuration file are relative to.
struct PathContext {
  std::string link_directory;  ///< where an entry point without `link` gets its link
  std::string home;            ///< what `~/` stands for; empty: nothing
};

/// `~/x` as a path in the home; everything else as it is.
std::string expand_home(const std::string& path, const std::string& home);

/// Reads one application over `application` (its name and its defaults are already there). Error
/// {kConfig} for whatever is wrong with it by itself; clashes between applications are the
/// caller's.
void read_application(const Setting& setting, const std::string& file, const PathContext& context,
                      Application& application);

}  // namespace mcpu
