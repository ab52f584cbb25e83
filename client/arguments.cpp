#include "client/arguments.hpp"

#include <algorithm>

#include <CLI/CLI.hpp>

#include "client/suggestion.hpp"
#include "daemon/absolute_path.hpp"
#include "proto/error.hpp"
#include "proto/url.hpp"

namespace mcpu {

namespace {

/// Values that the library fills and that are turned into typed ones after parsing.
struct Raw {
  bool quick = false;
  bool full = false;
  std::uint64_t wait = 0;
  std::string from, to, configs, level, color;
  std::uint64_t job = 0;
};

/// The library would read "-3" as a very large number.
const CLI::Validator kWholeNumber(
    [](const std::string& text) {
      const bool whole = !text.empty() && text.size() <= 18 &&
                         text.find_first_not_of("0123456789") == std::string::npos;
      return whole ? std::string() : text + " is not a whole number";
    },
    "");

constexpr std::uint64_t kLongestWaitSeconds = 24 * 3600;

void add_global_options(CLI::App& app, Arguments& out, Raw& raw) {
  app.add_option("--app", out.request.app);
  auto* user = app.add_flag("--user", out.instance.user);
  app.add_flag("--system", out.instance.system)->excludes(user);
  app.add_option("--config", out.instance.config_file);
  app.add_option("--state-dir", out.instance.state_directory);
  app.add_option("--socket", out.instance.socket);
  app.add_flag("--json", out.json);
  auto* verbose = app.add_flag("-v,--verbose", out.verbose);
  app.add_flag("-q,--quiet", out.quiet)->excludes(verbose);
  app.add_option("--color", raw.color)->check(CLI::IsMember({"auto", "always", "never"}));
  app.set_version_flag("--version", "mcpctl " MCPU_VERSION);
}

/// How long a job waits for its turn, and whether we wait for it: the same for all jobs.
void add_waiting_options(CLI::App& command, Arguments& out, Raw& raw) {
  auto* wait = command.add_option("--wait", raw.wait)
                   ->check(CLI::Range(std::uint64_t{0}, kLongestWaitSeconds));
  auto* no_wait = command.add_flag("--no-wait", out.request.no_wait)->excludes(wait);
  auto* detach = command.add_flag("--detach", out.detach);
  if (auto* dry_run = command.get_option_no_throw("--dry-run")) {
    dry_run->excludes(detach)->excludes(no_wait)->excludes(wait);
  }
}

void add_upgrade(CLI::App& app, Arguments& out, Raw& raw) {
  CLI::App& command = *app.add_subcommand("upgrade");
  auto* quick = command.add_flag("--quick", raw.quick);
  command.add_flag("--full", raw.full)->excludes(quick);
  auto* force = command.add_flag("--force", out.request.force);
  command.add_option("--from", raw.from);
  auto* to = command.add_option("--to", raw.to);
  command.add_flag("--worktree", out.request.worktree)->excludes(to);
  command.add_flag("--unattended", out.request.unattended)->excludes(force);
  command.add_flag("--dry-run", out.dry_run);
  add_waiting_options(command, out, raw);
}

void add_rollback(CLI::App& app, Arguments& out, Raw& raw) {
  CLI::App& command = *app.add_subcommand("rollback");
  command.add_option("--to", raw.to);
  command.add_option("--configs", raw.configs)->check(CLI::IsMember({"auto", "always", "never"}));
  command.add_flag("--dry-run", out.dry_run);
  add_waiting_options(command, out, raw);
}

void add_check(CLI::App& app, Arguments& out, Raw& raw) {
  CLI::App& command = *app.add_subcommand("check");
  command.add_flag("--deep", out.request.deep);
  add_waiting_options(command, out, raw);
}

void add_repair(CLI::App& app, Arguments& out, Raw& raw) {
  CLI::App& command = *app.add_subcommand("repair");
  command.add_flag("--dry-run", out.dry_run);
  add_waiting_options(command, out, raw);
}

void add_reading_commands(CLI::App& app, Arguments& out, Raw& raw) {
  app.add_subcommand("status")->add_flag("--verify", out.verify);
  app.add_subcommand("jobs");
  app.add_subcommand("releases");
  CLI::App& logs = *app.add_subcommand("logs");
  logs.add_option("JOB", raw.job)->check(kWholeNumber);
  logs.add_flag("--follow,-f", out.follow);
  logs.add_option("--after", out.after)->check(kWholeNumber);
  logs.add_option("--level", raw.level)
      ->check(CLI::IsMember({"debug", "info", "success", "warning", "error"}, CLI::ignore_case));
  app.add_subcommand("watch")->add_option("JOB", raw.job)->check(kWholeNumber);
  CLI::App& config = *app.add_subcommand("config");
  config.add_subcommand("show")->fallthrough();
  config.add_subcommand("validate")->fallthrough()->add_option("FILE", out.file);
}

void add_marking_commands(CLI::App& app, Arguments& out, Raw& raw) {
  for (const char* name : {"pin", "unpin"}) {
    app.add_subcommand(name)->add_option("RELEASE", out.release)->required();
  }
  for (const char* name : {"hold", "unhold"}) {
    app.add_subcommand(name)->add_option("RELEASE", out.release);
  }
  app.add_subcommand("cancel")->add_option("JOB", raw.job)->check(kWholeNumber);
}

void add_commands(CLI::App& app, Arguments& out, Raw& raw) {
  add_upgrade(app, out, raw);
  add_rollback(app, out, raw);
  add_check(app, out, raw);
  add_repair(app, out, raw);
  add_reading_commands(app, out, raw);
  add_marking_commands(app, out, raw);
  app.add_subcommand("help");
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) {
    command->fallthrough()->allow_extras();
    for (CLI::App* part : command->get_subcommands([](CLI::App*) { return true; })) {
      part->allow_extras();
    }
  }
}

/// The command as typed, its second word included: "upgrade", "config show", "" if there is none.
std::string selected_name(const CLI::App& app) {
  std::string name;
  for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
    at = at->get_subcommands().front();
    name += (name.empty() ? "" : " ") + at->get_name();
  }
  return name;
}

const CLI::App& selected(const CLI::App& app) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  return *at;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* each : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(each->get_name());
  }
  return names;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* at = &app; at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : at->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

Error usage_error(const std::string& what, const std::string& command) {
  return Error(Code::kUsage,
               what + "; see mcpctl " + (command.empty() ? "" : command + " ") + "--help");
}

/// Refuses words that nothing asked for; the library would do it less clearly.
void refuse_extras(const CLI::App& app) {
  const std::string command = selected_name(app);
  const CLI::App& deepest = selected(app);
  for (const std::string& word : app.remaining(true)) {
    const bool option = word.size() > 1 && word[0] == '-';
    const bool wants_command = command.empty() || command == "config";
    const auto near = nearest(word.substr(0, word.find('=')),
                              option ? option_names(deepest) : command_names(deepest));
    const std::string kind = option          ? "unknown option "
                             : wants_command ? "unknown command "
                                             : "unexpected word ";
    throw usage_error(kind + word + (near.empty() ? "" : ", did you mean " + near + "?"), command);
  }
  if (command.empty()) throw usage_error("a command is needed", command);
  if (command == "config") throw usage_error("config needs one of show and validate", command);
}

Command command_from(std::string_view name) {
  static const std::vector<std::pair<std::string_view, Command>> kCommands = {
      {"upgrade", Command::kUpgrade},
      {"rollback", Command::kRollback},
      {"status", Command::kStatus},
      {"jobs", Command::kJobs},
      {"logs", Command::kLogs},
      {"watch", Command::kWatch},
      {"releases", Command::kReleases},
      {"pin", Command::kPin},
      {"unpin", Command::kUnpin},
      {"hold", Command::kHold},
      {"unhold", Command::kUnhold},
      {"check", Command::kCheck},
      {"repair", Command::kRepair},
      {"cancel", Command::kCancel},
      {"config show", Command::kConfigShow},
      {"config validate", Command::kConfigValidate}};
  for (const auto& [known, command] : kCommands) {
    if (known == name) return command;
  }
  throw Error(Code::kInternal, "command without a meaning: " + std::string(name));
}

ConfigPolicy policy_from(const std::string& word) {
  if (word == "always") return ConfigPolicy::kAlways;
  return word == "never" ? ConfigPolicy::kNever : ConfigPolicy::kAuto;
}

JobKind kind_from(Command command) {
  if (command == Command::kRollback) return JobKind::kRollback;
  if (command == Command::kRepair) return JobKind::kRepair;
  return command == Command::kCheck ? JobKind::kCheck : JobKind::kUpgrade;
}

/// Turns what the library filled in into typed values.
void complete(const CLI::App& app, const Raw& raw, Arguments& out) {
  const CLI::App& command = selected(app);
  const auto given = [&](const char* name) {
    const CLI::Option* option = command.get_option_no_throw(name);
    return option != nullptr && option->count() > 0;
  };
  out.command = command_from(selected_name(app));
  out.request.kind = kind_from(out.command);
  out.request.mode = raw.full ? Mode::kFull : Mode::kQuick;
  out.request.configs = policy_from(raw.configs);
  if (given("--from")) out.request.from = absolute_source(raw.from);
  if (given("--to")) out.request.to = raw.to;
  if (given("--wait")) out.request.wait = std::chrono::seconds(raw.wait);
  if (given("JOB")) out.job = raw.job;
  if (!raw.level.empty()) out.level = tier_from(raw.level);
  if (out.level == Tier::kDebug) out.verbose = true;
  if (raw.color == "always") out.color = ColorChoice::kAlways;
  if (raw.color == "never") out.color = ColorChoice::kNever;
}

void refuse_empty_values(const CLI::App& app) {
  for (const CLI::App* at = &selected(app); at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : at->get_options()) {
      for (const std::string& value : option->results()) {
        if (!value.empty()) continue;
        throw usage_error(option->get_name() + " must not be empty", selected_name(app));
      }
    }
  }
}

/// What --version prints. It ends the parsing: --json may not have been seen yet.
std::string version_text(const std::vector<std::string>& words) {
  const bool json = std::ranges::find(words, "--json") != words.end();
  return json ? R"({"version":")" MCPU_VERSION "\"}\n" : "mcpctl " MCPU_VERSION "\n";
}

/// `mcpctl help`, `mcpctl help COMMAND`.
std::string help_page(const CLI::App& app) {
  std::string wanted;
  for (const std::string& word : app.remaining(true)) wanted += (wanted.empty() ? "" : " ") + word;
  const std::string_view text = help_text(wanted);
  if (text.empty()) throw usage_error("no help for " + wanted + ": there is no such command", "");
  return std::string(text);
}

}  // namespace

std::string absolute_source(const std::string& source) {
  return source.starts_with('/') || relative_path(source) ? absolute_path(source) : source;
}

CommandLine parse_command_line(const std::vector<std::string>& words) {
  CommandLine line;
  Raw raw;
  CLI::App app("mcpctl", "mcpctl");
  add_global_options(app, line.arguments, raw);
  app.allow_extras()->require_subcommand(0, 1);
  add_commands(app, line.arguments, raw);
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
    if (selected_name(app) == "help") {
      line.text = help_page(app);
      return line;
    }
    refuse_extras(app);
    refuse_empty_values(app);
    complete(app, raw, line.arguments);
  } catch (const CLI::CallForHelp&) {
    line.text = help_text(selected_name(app));
  } catch (const CLI::CallForVersion&) {
    line.text = version_text(words);
  } catch (const CLI::ArgumentMismatch& error) {
    // The library names the option, and then counts and types of values in a way of its own.
    const std::string text = error.what();
    throw usage_error(text.substr(0, text.find(':')) + " needs a value", selected_name(app));
  } catch (const CLI::ParseError& error) {
    throw usage_error(error.what(), selected_name(app));
  }
  return line;
}

}  // namespace mcpu
