#pragma once

#include <string>
#include <vector>

#include "client/arguments.hpp"

namespace mcpu {

/// Which instance is meant, and how that was decided.
struct InstanceChoice {
  Instance instance;
  bool named = false;       ///< by --user, --system, --state-dir or --socket
  bool mode_named = false;  ///< by --user or --system
  InstanceOptions options;  ///< as given, with absolute paths
};

/// The instance that the options name; without any the system's where its socket or its state
/// directory exists, else the user's own.
InstanceChoice choose_instance(const InstanceOptions& options);

/// The options that reach the same instance again, as words of a command line.
std::vector<std::string> instance_words(const InstanceOptions& options);
/// The same as text to be copied into a shell, each word after a blank.
std::string instance_hint(const InstanceOptions& options);

}  // namespace mcpu
