#include "daemon/configuration.hpp"

namespace mcpu {
namespace {

/// Where the clients that MCP Local Manager serves keep their settings, and the MCP servers in
/// them.
std::vector<ManagedFile> client_files() {
  const std::string servers = "/mcpServers";
  return {
      {".mcp-central/config/mcp-servers.json", "json", "/servers"},
      {".mcp-local/resolved.json", "json", ""},
      {".claude/settings.json", "json", servers},
      {".claude.json", "json", servers},
      {".codex/config.toml", "toml", "/mcp_servers"},
      {".gemini/settings.json", "json", servers},
      {".iflow/settings.json", "json", servers},
      {".factory/mcp.json", "json", servers},
      {".cursor/mcp.json", "json", servers},
      {".config/Code/User/mcp.json", "json", "/servers"},
      {".config/Code - Insiders/User/mcp.json", "json", "/servers"},
  };
}

CheckSpec check(std::vector<std::string> arguments) {
  CheckSpec spec;
  spec.entry = "mcp";
  spec.name = spec.entry;
  for (const std::string& argument : arguments) spec.name += " " + argument;
  spec.arguments = std::move(arguments);
  // Its exit code alone says little: it is 0 over many a failure that it only prints.
  spec.forbid = {"Traceback", "ImportError", "❌", "[ERR]"};
  return spec;
}

CheckSpec essential(CheckSpec spec) {
  spec.essential = true;
  return spec;
}

Application mcp_local_manager(const std::string& link_directory) {
  Application mcp;
  mcp.name = "mcp";
  mcp.entry_points = {{"mcp", "bin/mcp", link_directory + "/mcp"}};
  mcp.files = client_files();
  mcp.checks = {essential(check({"--help"})), check({"status"}), check({"check"})};
  mcp.deep_checks = {check({"central", "list"}), check({"central", "validate"}),
                     check({"central", "doctor", "--json"}), check({"doctor", "--json"})};
  // Run by root, Python writes its caches even into a tree that is read-only.
  mcp.environment = {{"PYTHONDONTWRITEBYTECODE", "1"}};
  mcp.requirements = {{"python3", {"--version"}, "3.11"}};
  // In every release's bin/mcp, and in no other program that is called mcp (the Python SDK's one).
  mcp.recognize = {".mcp-central", "mcp_cli.commands"};
  return mcp;
}

}  // namespace

Configuration default_configuration(const std::string& link_directory) {
  Configuration configuration;
  configuration.applications = {mcp_local_manager(link_directory)};
  return configuration;
}

}  // namespace mcpu
