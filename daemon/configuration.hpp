#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/check.hpp"
#include "daemon/home.hpp"
#include "daemon/listing.hpp"

namespace mcpu {

/// A command of the application on PATH.
struct EntryPoint {
  std::string name;  ///< "mcp"
  std::string path;  ///< within the tree: "bin/mcp"
  std::string link;  ///< absolute path of the link on PATH
};

/// Something the application needs on the machine.
struct Requirement {
  std::string program;                 ///< looked up on the PATH of checks: "python3"
  std::vector<std::string> arguments;  ///< whose output names its version: {"--version"}
  std::string minimum;                 ///< "3.11"; empty: any
};

/// One application that is kept up to date.
struct Application {
  std::string name;
  std::string source;  ///< path or URL; empty: the adopted checkout
  std::vector<EntryPoint> entry_points;
  std::vector<std::string> exclude;
  std::string changelog = "CHANGELOG.md";
  std::vector<ManagedFile> files;
  std::vector<CheckSpec> checks;  ///< basic ones; the first essential one is the post-check
  std::vector<CheckSpec> deep_checks;
  std::vector<std::string> services;  ///< systemd units to restart after a switch
  std::map<std::string, std::string> environment;
  std::vector<Requirement> requirements;
  /// Texts one of which the old installation's file must contain to be recognized as this
  /// application at adoption; empty: anything is.
  std::vector<std::string> recognize;
};

struct Retention {
  unsigned quick_jobs = 5;
  unsigned full_jobs = 3;
  unsigned jobs = 200;  ///< of which there are records and logs, whatever came of them
};

/// Limits in time and size; all have defaults.
struct Limits {
  std::chrono::seconds resolve{120};
  std::chrono::seconds stage{300};
  std::chrono::seconds home{10};         ///< lock or save one user's files
  std::chrono::seconds all_checks{120};  ///< whatever the number of users
  std::uint64_t quick_free_bytes = 50ULL << 20;
  std::uint64_t full_free_bytes = 100ULL << 20;
  std::uint64_t clone_bytes = 1ULL << 30;
  TreeLimits tree;
};

struct Configuration {
  std::string file;  ///< where it was read from, empty for the built-in defaults
  std::string group = "mcp-upgrade";
  std::vector<std::string> users;  ///< managed users by name; empty: the defaults
  std::vector<std::string> required_users;
  std::chrono::seconds wait_quick{30};
  std::chrono::seconds wait_full{60};
  std::chrono::seconds idle_exit{60};  ///< 0: never; user mode only
  Retention retention;
  Limits limits;
  std::string known_hosts;  ///< for ssh sources
  std::string ca_file;      ///< for https sources
  std::vector<Application> applications;

  /// The application named; empty name: the only one, else "mcp". Error{kNotFound} lists them.
  const Application& application(const std::string& name) const;
};

/// The built-in configuration: MCP Local Manager, its links in `link_directory`.
Configuration default_configuration(const std::string& link_directory);

/// Reads JSON with comments over the defaults. Everything wrong is Error{kConfig} whose text is
/// "FILE:LINE: KEY: reason": syntax, unknown or duplicate keys, wrong types, impossible values.
/// `~/` at the start of a path stands for `home`. What is given for the built-in application `mcp`
/// replaces its defaults key by key (`"mcp": null` takes it away); another one starts from nothing.
Configuration parse_configuration(std::string_view text, const std::string& file,
                                  const std::string& link_directory, const std::string& home);

/// The effective configuration as a document in the file's own form, but for passwords in sources.
nlohmann::json to_json(const Configuration& configuration);

}  // namespace mcpu
