// mcpctl: arguments, request, connection, rendering; each in a file of its own.

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string_view>
#include <vector>

#include "client/arguments.hpp"
#include "client/commands.hpp"
#include "client/screen.hpp"

namespace {

using namespace mcpu;

int report(const Error& error, bool json, Screen& screen) {
  if (json) {
    screen.print(error_json(error).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    std::string text;
    const std::string whole = error_text(error);
    std::string_view rest = whole;
    for (std::size_t end = 0; end != rest.npos;
         rest.remove_prefix(end == rest.npos ? 0 : end + 1)) {
      end = rest.find('\n');
      text += (text.empty() ? "" : "\n  ") + printable(rest.substr(0, end));
    }
    screen.note(screen.error_paint()("1;31", "mcpctl:") + " " + text);
  }
  return exit_code(error);
}

int run(const Arguments& arguments, Screen& screen) {
  if (arguments.command == Command::kConfigValidate) {
    return validate_configuration(arguments, screen);
  }
  const Interrupts interrupts;
  const bool quiet = arguments.quiet || arguments.json;
  const auto note = [&](const std::string& text) {
    if (!quiet) screen.note(printable(text));
  };
  DaemonAccess daemon(choose_instance(arguments.instance), interrupts, note);
  Session session{arguments, screen, daemon};
  if (!arguments.json) screen.add_to_commands(instance_hint(daemon.choice().options));
  if (arguments.verbose) {
    note(std::string("using ") +
         (daemon.choice().instance.user_mode ? "your own instance" : "the system's instance") +
         " at " + daemon.choice().instance.socket);
  }
  daemon.check_options();
  const int status = run_command(session);
  if (arguments.command == Command::kUpgrade || arguments.command == Command::kRollback ||
      arguments.command == Command::kCheck || arguments.command == Command::kRepair) {
    return status;  // what a job came to matters more than that its log could not be written
  }
  screen.finish();
  return status;
}

int run_line(const std::vector<std::string>& words) {
  const bool json = std::find(words.begin(), words.end(), "--json") != words.end();
  Screen screen;
  try {
    const CommandLine line = parse_command_line(words);
    screen.use_color(line.arguments.color);
    if (!line.text.empty()) {
      screen.print(line.text);
      screen.finish();
      return 0;
    }
    return run(line.arguments, screen);
  } catch (const Error& error) {
    return report(error, json, screen);
  } catch (const Interrupted&) {
    return kExitInterrupted;
  } catch (const std::exception& error) {
    return report(
        Error(Code::kInternal, std::string("a mistake in mcpctl itself: ") + error.what()), json,
        screen);
  }
}

}  // namespace

int main(int count, char** words) {
  mcpu::open_standard_descriptors();
  return run_line(std::vector<std::string>(words + std::min(count, 1), words + count));
}
