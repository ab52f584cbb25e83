#include "client/daemon_access.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>

#include "proto/error.hpp"

namespace mcpu {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kStartLimit{10};
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
  std::ifstream file(path, std::ios::binary);
  std::string text(4096, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  const auto json = nlohmann::json::parse(text.substr(0, text.find('\n')), nullptr, false);
  LockHolder holder;
  if (!json.is_object()) return holder;
  const auto pid = json.find("pid"), socket = json.find("socket");
  if (pid != json.end() && pid->is_number_integer()) holder.pid = pid->get<pid_t>();
  if (socket != json.end() && socket->is_string()) holder.socket = socket->get<std::string>();
  return holder;
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
    return Connection(path, interrupts_);
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
    if (auto connection = try_socket(holder.socket)) return connection;
  }
  last_reason_ = reason;
  return std::nullopt;
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

nlohmann::json DaemonAccess::call(std::string_view method, const nlohmann::json& parameters) {
  try {
    return open().call(method, parameters);
  } catch (const Error& error) {
    if (!connection_lost(error)) throw;
  }
  return open().call(method, parameters);
}

}  // namespace mcpu
