#include "daemon/entry_status.hpp"

#include "daemon/obstacle.hpp"
#include "daemon/problem.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

/// A command that leads to our launcher: its state and what is wrong with it.
std::string state_of_ours(const JobEnvironment& environment, const EntryPoints& entry_points,
                          const EntryPoint& entry, const ReleaseStore& store,
                          const Possession& possession, json& problems) {
  const std::string link = escape_path(entry.link);
  if (const std::string launcher = entry_points.problem(entry); !launcher.empty()) {
    problems.push_back(possession.installed
                           ? problem(launcher)
                           : json{{"what", link + " leads to nothing: no release is installed"},
                                  {"remedy", "run 'mcpctl upgrade'"}});
    return "broken";
  }
  if (possession.current.empty()) return possession.installed ? "broken" : "before";
  const std::string program = store.program_problem(possession.current, entry.name);
  if (!program.empty()) {
    problems.push_back({{"what", link + " cannot run: " + program}, {"remedy", kMendRelease}});
    return "broken";
  }
  const std::string first =
      environment.user_mode ? first_on_path(environment.tools.fs, entry.name) : entry.link;
  if (first.empty() || first == entry.link) return "ok";
  problems.push_back(
      {{"what", link + " is hidden by " + escape_path(first) + ", which comes first on PATH"},
       {"remedy", path_line(entry)}});
  return "shadowed";
}

}  // namespace

void add_entry_status(const JobEnvironment& environment, const Application& app,
                      const EntryPoint& entry, const Possession& possession, json& document) {
  const Tools& tools = environment.tools;
  const EntryPoints entry_points(tools.fs, tools.layout, app.name, {entry}, tools.launcher);
  std::string state = "before";
  if (entry_points.leads_to_launcher(entry)) {
    const ReleaseStore store(tools.fs, tools.layout, app.name);
    state =
        state_of_ours(environment, entry_points, entry, store, possession, document.at("problems"));
  } else if (possession.installed) {
    const bool absent = entry_points.at_link(entry).kind == Standing::Kind::kNothing;
    state = absent ? "absent" : "foreign";
    const std::string kept = obstacle(tools, app, entry);
    document.at("problems").push_back(problem(kept.empty() ? entry_points.problem(entry) : kept));
  }
  document.at("entry_points")
      .push_back({{"name", entry.name}, {"path", escape_path(entry.link)}, {"state", state}});
}

}  // namespace mcpu
