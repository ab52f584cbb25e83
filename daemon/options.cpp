#include "daemon/options.hpp"

#include <CLI/CLI.hpp>

namespace mcpu {
namespace {

constexpr int kUsage = 2;

const char* const kDescription =
    "Upgrades MCP Local Manager, and whatever else its configuration describes, as one\n"
    "transaction: after any failure exactly the old or exactly the new release is in place.\n"
    "It is controlled by mcpctl, which starts it where no service manager does.";

const char* const kFooter =
    "Exit codes: 0 stopped in good order (or the configuration is valid), 1 could not start,\n"
    "2 the command line or the configuration is wrong. With --recover and --rollback: 0 done,\n"
    "1 failed and everything is as it was, 6 something could not be put back yet.\n"
    "SIGHUP reads the configuration again, which in user mode happens by itself once the file has\n"
    "changed; SIGTERM finishes or undoes the running job.";

void describe(CLI::App& app, DaemonOptions& options) {
  InstanceOptions& instance = options.instance;
  auto* user = app.add_flag("--user", instance.user,
                            "Serve one user, below the XDG directories (default unless root)");
  auto* system = app.add_flag("--system", instance.system,
                              "Serve the whole machine, below /var/lib (default for root)");
  system->excludes(user);
  app.add_option("--config", instance.config_file, "Read this configuration file")
      ->type_name("FILE");
  app.add_option("--state-dir", instance.state_directory, "Keep releases and jobs here")
      ->type_name("DIRECTORY");
  app.add_option("--socket", instance.socket, "Listen here")->type_name("PATH");
  auto* check = app.add_flag("--check-config", options.check_config,
                             "Print the effective configuration, or what is wrong with it");
  app.add_flag("--json", options.json, "With --check-config: print the verdict as JSON instead")
      ->needs(check);
  app.add_flag("--on-demand", options.on_demand,
               "Started by mcpctl: write diagnostics to a file in the state directory");
  auto* recover =
      app.add_flag("--recover", options.recover,
                   "Finish or undo what an interrupted job left, without serving anybody, and end");
  auto* rollback =
      app.add_flag("--rollback", options.rollback,
                   "Recover, then go back to the release before, without serving anybody, and end");
  rollback->excludes(recover)->excludes(check);
  recover->excludes(check);
  app.add_option("--to", options.to,
                 "With --rollback: go to this release or version, or \"before\"")
      ->type_name("RELEASE")
      ->needs(rollback);
  app.add_option("--app", options.app, "With --rollback: of this application")
      ->type_name("NAME")
      ->needs(rollback);
  app.add_flag("-v,--verbose", options.verbose, "Tell more about the daemon's own work");
  // For installations that were moved, and for tests: no promise is made about it.
  app.add_option("--program-dir", options.program_directory)->group("");
  app.set_version_flag("--version", "mcp-upgraded " MCPU_VERSION);
}

}  // namespace

ParsedOptions parse_daemon_options(int argc, const char* const* argv, bool is_root) {
  CLI::App app(kDescription, "mcp-upgraded");
  app.footer(kFooter);
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return std::string("mcp-upgraded: ") + error.what() + "; see mcp-upgraded --help\n";
  });
  DaemonOptions options;
  describe(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& result) {
    return {{}, app.exit(result) == 0 ? 0 : kUsage};
  }
  if (!options.instance.user && !options.instance.system)
    (is_root ? options.instance.system : options.instance.user) = true;
  return {options, 0};
}

}  // namespace mcpu
