#include "client/daemon_access.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <system_error>

#include "client/json_fields.hpp"
#include "daemon/unique_fd.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kStartLimit{10};
/// More than a short call takes where disks are busy.
constexpr std::chrono::seconds kAnswerLimit{30};
/// After our own daemon gave up: how long another one, started at the same moment, may take to say
/// in the lock file that it has won.
constexpr std::chrono::milliseconds kRaceGrace{300};
constexpr int kLongestPauseMilliseconds = 50;

/// What STATE/lock says of the daemon that holds it.
struct LockHolder {
  pid_t pid = 0;
  std::string socket;
  bool alive() const { return pid > 0 && (::kill(pid, 0) == 0 || errno == EPERM); }
};

LockHolder read_lock(const std::string& path) {
  // Without waiting, should it be a FIFO.
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  std::string text(4096, '\0');
  const ssize_t size = file ? ::read(file.get(), text.data(), text.size()) : -1;
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  const auto json = nlohmann::json::parse(text.substr(0, text.find('\n')), nullptr, false);
  LockHolder holder;
  if (!json.is_object()) return holder;
  const auto pid = json.find("pid"), socket = json.find("socket");
  if (pid != json.end() && pid->is_number_integer()) holder.pid = pid->get<pid_t>();
  if (socket != json.end() && socket->is_string()) holder.socket = socket->get<std::string>();
  return holder;
}

/// An option whose value is not what the daemon that answered has.
struct Difference {
  std::string option, wanted, used;
};

std::string way_to_end(bool user_mode, std::int64_t pid) {
  if (!user_mode) return "'systemctl stop mcp-upgraded.socket mcp-upgraded'";
  return "'kill " + std::to_string(pid) + "'";
}

Error other_instance(const Difference& difference, const std::string& used_for,
                     const std::string& way) {
  return Error(
      Code::kUsage,
      used_for + " " + difference.used + ", not " + difference.wanted + ": leave " +
          difference.option + " out, or stop that daemon first with " + way,
      {{"option", difference.option}, {"wanted", difference.wanted}, {"used", difference.used}});
}

/// Whether a path of ours and one that the daemon told are one place, whatever links lead there.
bool same_place(const std::string& ours, const std::string& told) {
  if (escape_path(ours) == told) return true;
  std::error_code unknown;
  return std::filesystem::equivalent(ours, unescape_path(told), unknown) && !unknown;
}

std::string last_lines(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\0')) text.pop_back();
  constexpr std::size_t kMost = 2000;
  return text.size() > kMost ? text.substr(text.size() - kMost) : text;
}

}  // namespace

std::vector<std::string> daemon_command(const std::string& program, const InstanceChoice& choice) {
  std::vector<std::string> command = {program, "--on-demand"};
  InstanceOptions options = choice.options;
  options.user = choice.instance.user_mode;
  options.system = !options.user;
  for (std::string& word : instance_words(options)) command.push_back(std::move(word));
  return command;
}

DaemonAccess::DaemonAccess(InstanceChoice choice, const Interrupts& interrupts,
                           std::function<void(const std::string&)> note)
    : choice_(std::move(choice)), interrupts_(interrupts), note_(std::move(note)) {}

std::optional<Connection> DaemonAccess::try_socket(const std::string& path) {
  try {
    Connection connection(path, interrupts_);
    connection.limit_answers(kAnswerLimit, remedy_for_silence());
    return connection;
  } catch (const Error& error) {
    if (error.code() != Code::kNoDaemon) throw;
    last_reason_ = error.what();
    return std::nullopt;
  }
}

std::optional<Connection> DaemonAccess::try_open() {
  const Instance& instance = choice_.instance;
  if (auto connection = try_socket(instance.socket)) return connection;
  // Its daemon may have been started with another environment, and listen elsewhere.
  const std::string reason = last_reason_;
  const LockHolder holder = read_lock(instance.layout.lock_file());
  if (!holder.socket.empty() && holder.socket != instance.socket) {
    auto connection = try_socket(holder.socket);
    if (connection && !choice_.options.socket.empty()) {
      throw other_instance({"--socket", choice_.options.socket, holder.socket},
                           "the daemon of " + instance.layout.state + " listens at",
                           way_to_end(instance.user_mode, holder.pid));
    }
    if (connection) return connection;
  }
  last_reason_ = reason;
  return std::nullopt;
}

std::string DaemonAccess::remedy_for_silence() const {
  const std::string after =
      "; a job is then finished or undone, and this request may still be done";
  if (!choice_.instance.user_mode) return "'systemctl restart mcp-upgraded' starts it anew" + after;
  const LockHolder holder = read_lock(choice_.instance.layout.lock_file());
  if (!holder.alive()) return "end it, and the next command starts it anew" + after;
  return "end it with 'kill -KILL " + std::to_string(holder.pid) +
         "', and the next command starts it anew" + after;
}

Connection DaemonAccess::open() {
  if (auto connection = try_open()) return std::move(*connection);
  if (!choice_.instance.user_mode) throw nobody();
  return start();
}

Error DaemonAccess::nobody() const {
  std::string what = last_reason_ + ". Look at it with `systemctl status mcp-upgraded`";
  what += choice_.named ? "" : ", or use --user for an instance of your own";
  return Error(Code::kNoDaemon, what, {{"socket", choice_.instance.socket}});
}

Connection DaemonAccess::start() {
  const StartedDaemon daemon(daemon_command(find_daemon_program(), choice_));
  Connection connection = wait_for(daemon);
  note_("started mcp-upgraded for you, with its state in " + choice_.instance.layout.state);
  return connection;
}

Connection DaemonAccess::wait_for(const StartedDaemon& daemon) {
  const auto last_moment = Clock::now() + kStartLimit;
  auto limit = last_moment;
  bool gone = false;
  for (int pause = 1;; pause = std::min(pause * 2, kLongestPauseMilliseconds)) {
    if (auto connection = try_open()) return std::move(*connection);
    if (!gone && daemon.ended()) {
      gone = true;
      limit = std::min(limit, Clock::now() + kRaceGrace);
    }
    const bool other_starting = gone && read_lock(choice_.instance.layout.lock_file()).alive();
    if (other_starting) limit = std::min(last_moment, Clock::now() + kRaceGrace);
    if (Clock::now() >= limit) break;
    interrupts_.wait(-1, 0, pause);
  }
  const std::string complaint = last_lines(daemon.complaint());
  throw Error(Code::kNoDaemon,
              (gone ? "mcp-upgraded ended without becoming ready"
                    : "mcp-upgraded was started, but did not answer within 10 s") +
                  std::string(complaint.empty() ? "" : ":\n") + complaint,
              {{"socket", choice_.instance.socket}, {"stderr", complaint}});
}

void DaemonAccess::check_options() {
  const InstanceOptions& options = choice_.options;
  if (!choice_.mode_named && options.config_file.empty() && options.state_directory.empty()) return;
  const nlohmann::json reply = call("ShowConfiguration", nlohmann::json::object());
  const nlohmann::json& instance = member_of(reply, "instance");
  const std::string mode = text_of(instance, "mode");
  const std::string way =
      way_to_end(mode != "system", static_cast<std::int64_t>(number_of(instance, "pid")));
  const auto compare = [&](const char* option, const std::string& wanted, const char* member,
                           const std::string& what) {
    const std::string used = text_of(instance, member);
    if (wanted.empty() || used.empty() || same_place(wanted, used)) return;
    throw other_instance({option, wanted, used}, "the daemon that answers " + what, way);
  };
  const std::string expected = choice_.instance.user_mode ? "user" : "system";
  if (choice_.mode_named && !mode.empty() && mode != expected) {
    throw other_instance({"--" + expected, "that of " + expected + " mode", mode + " mode"},
                         "the daemon that answers at " + choice_.instance.socket + " is that of",
                         way);
  }
  compare("--state-dir", options.state_directory, "state_directory", "keeps its state in");
  compare("--config", options.config_file, "configuration", "uses the configuration");
}

nlohmann::json DaemonAccess::call(std::string_view method, const nlohmann::json& parameters) {
  try {
    return open().call(method, parameters);
  } catch (const Error& error) {
    if (!connection_lost(error)) throw;
  }
  return open().call(method, parameters);
}

}  // namespace mcpu
