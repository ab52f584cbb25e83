#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "daemon/file_system.hpp"

namespace mcpu {

/// One command of an application, and how an old installation of it is known.
struct StaleCommand {
  std::string name;    ///< "mcp"
  std::string kept;    ///< the entry point's own link, never stale
  std::string target;  ///< in the adopted checkout; empty: none was adopted
};

/// Where old installations of an application are looked for.
struct StaleQuery {
  std::vector<std::string> directories;  ///< of commands: /usr/local/bin, ~/.local/bin
  std::vector<StaleCommand> commands;
  std::vector<std::string> recognize;  ///< texts of which a copy's code has one; none: no copies
};

/// A link into the adopted checkout beside the entry point.
struct StaleLink {
  std::string path, target;
};

/// A copy of the application that pip installed. It is recognized by content, never by the name of
/// its command or its distribution.
struct PipCopy {
  std::string script;                 ///< the command it brought
  std::string distribution, version;  ///< as pip calls it
  std::string python;                 ///< "python3.11"
};

struct StaleFound {
  std::vector<StaleLink> links;
  std::vector<PipCopy> copies;
};

/// Where people and scripts put commands: for everybody, and below a home.
inline constexpr const char* kSystemCommands = "/usr/local/bin";
std::vector<std::string> home_commands(const std::string& home);

/// Reads only; a directory that cannot be read holds nothing. Effort and result are bounded.
StaleFound find_stale(FileSystem& fs, const StaleQuery& query);

/// Removes the link durably if it still leads there. False, with nothing changed, if the directory
/// is not this process's to write.
bool remove_stale_link(FileSystem& fs, const StaleLink& link);
/// Makes the link again unless something stands at its path. Idempotent.
void put_back_stale_link(FileSystem& fs, const StaleLink& link);

/// The line that removes a copy. `system`: below /usr/local, so that it takes root.
std::string uninstall_line(FileSystem& fs, const PipCopy& copy, bool system);

// What the daemon and a home's worker say to each other. Malformed: Error{kWorker}.
nlohmann::json to_json(const StaleLink& link);
StaleLink stale_link_from_json(const nlohmann::json& object);
nlohmann::json to_json(const StaleQuery& query);
StaleQuery stale_query_from_json(const nlohmann::json& object);
nlohmann::json to_json(const StaleFound& found);
/// Checks too that what was found is what `query` asked for.
StaleFound stale_found_from_json(const nlohmann::json& object, const StaleQuery& query);

}  // namespace mcpu
