#include "daemon/layout.hpp"

#include <cstdlib>

#include "daemon/absolute_path.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

constexpr const char* kName = "/mcp-upgraded";

/// The value of a variable that names a directory; empty unless absolute, as the XDG specification
/// wants it.
std::string directory_variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && value[0] == '/' ? value : "";
}

std::string home() {
  std::string path = directory_variable("HOME");
  if (path.empty()) {
    throw Error(Code::kUsage,
                "HOME is not set to an absolute path, and user mode keeps everything below it; "
                "set it, or use --system");
  }
  return path;
}

std::string xdg(const char* variable, const char* default_below_home) {
  std::string base = directory_variable(variable);
  return (base.empty() ? home() + default_below_home : base) + kName;
}

/// Puts the options over the defaults. A state directory named on the command line is an instance
/// of its own: its socket and its cache lie below it, never where another instance has them.
void apply(const InstanceOptions& options, Instance& instance) {
  if (!options.state_directory.empty()) {
    instance.layout.state = absolute_path(options.state_directory);
    instance.layout.cache = instance.layout.state + "/cache";
    instance.socket = instance.layout.state + "/run/socket";
  }
  if (!options.socket.empty()) instance.socket = absolute_path(options.socket);
  if (!options.config_file.empty()) {
    instance.config_file = absolute_path(options.config_file);
    instance.config_required = true;
  }
}

}  // namespace

Instance user_instance(const InstanceOptions& options) {
  Instance instance;
  instance.user_mode = true;
  instance.config_file = xdg("XDG_CONFIG_HOME", "/.config") + "/config.json";
  instance.layout.state = xdg("XDG_STATE_HOME", "/.local/state");
  instance.layout.cache = xdg("XDG_CACHE_HOME", "/.cache");
  const std::string runtime = directory_variable("XDG_RUNTIME_DIR");
  instance.socket =
      runtime.empty() ? instance.layout.state + "/run/socket" : runtime + kName + "/socket";
  instance.link_directory = home() + "/.local/bin";
  apply(options, instance);
  return instance;
}

Instance system_instance(const InstanceOptions& options) {
  Instance instance;
  instance.user_mode = false;
  instance.config_file = "/etc/mcp-upgraded/config.json";
  instance.layout.state = "/var/lib/mcp-upgraded";
  instance.layout.cache = "/var/cache/mcp-upgraded";
  instance.socket = "/run/mcp-upgraded/socket";
  instance.link_directory = "/usr/local/bin";
  apply(options, instance);
  return instance;
}

}  // namespace mcpu
