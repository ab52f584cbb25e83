#include "daemon/journald.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace mcpu {

namespace {

constexpr std::chrono::seconds kSilence{1};

/// Also in systemd/mcp-upgraded.catalog.
constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kCatalog{{
    {"job.started", "47df0b4054f949978aa4f88c214c88d5"},
    {"job.finished", "6dc5ed8f3778424bbe577c9b5227d0f7"},
    {"undo.done", "55f05377892941a0ad59aea1998bd978"},
    {"recovery.undone", "55f05377892941a0ad59aea1998bd978"},
    {"job.needs_attention", "e3123003b6064717848177efdf924b2c"},
    {"undo.pending", "e3123003b6064717848177efdf924b2c"},
    {"recovery.needed", "e3123003b6064717848177efdf924b2c"},
    {"release.denied", "f5893ce8d76c48a1bbb6758b738ecd94"},
}};

/// syslog's levels.
char priority(Tier tier) {
  switch (tier) {
    case Tier::kError:
      return '3';
    case Tier::kWarning:
      return '4';
    case Tier::kSuccess:
      return '5';
    case Tier::kInfo:
      return '6';
    case Tier::kDebug:
      return '7';
  }
  return '6';
}

/// One field; values of several lines go with their length in front.
void add(std::string& entry, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  entry += name;
  if (value.find('\n') == value.npos) {
    entry += '=';
  } else {
    entry += '\n';
    for (unsigned shift = 0; shift < 64; shift += 8) {
      entry += static_cast<char>(static_cast<std::uint64_t>(value.size()) >> shift & 0xff);
    }
  }
  entry += value;
  entry += '\n';
}

std::string field(const Event& event, const char* name) {
  const auto found = event.fields.find(name);
  return found != event.fields.end() && found->is_string() ? found->get<std::string>() : "";
}

/// Root reads the journal too, and is told where the details are.
Event private_entry(const Event& event) {
  Event entry = without_details(event);
  entry.text += " with 'mcpctl logs " + std::to_string(event.job) + "'";
  return entry;
}

}  // namespace

std::string_view catalog_id(std::string_view event_id) {
  const auto* found =
      std::ranges::find_if(kCatalog, [&](const auto& one) { return one.first == event_id; });
  return found == kCatalog.end() ? std::string_view() : found->second;
}

JournalEntries::JournalEntries(std::string socket)
    : path_(std::move(socket)), socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
  timeval patience{};
  patience.tv_usec = std::chrono::microseconds(kPatience).count();
  if (socket_) {
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  }
}

const JournalEntries::Job& JournalEntries::remember(const Event& event) {
  Job& job = jobs_[event.job];
  if (std::string app = field(event, "app"); !app.empty()) job.app = std::move(app);
  // Other events name other releases: those that are pruned, say.
  static constexpr std::array<std::string_view, 4> kTargets{"resolve.release", "resolve.up_to_date",
                                                            "rollback.target", "recovery.started"};
  if (std::ranges::find(kTargets, event.id) != kTargets.end()) {
    if (std::string release = field(event, "release"); !release.empty()) {
      job.release = std::move(release);
    }
  }
  return job;
}

void JournalEntries::send(const StoredEvent& stored) noexcept {
  try {
    const Event event = stored.event.concerns ? private_entry(stored.event) : stored.event;
    const Job& job = remember(stored.event);
    std::string entry;
    add(entry, "MESSAGE", event.text.empty() ? event.id : event.text);
    add(entry, "PRIORITY", std::string(1, priority(event.tier)));
    add(entry, "SYSLOG_IDENTIFIER", "mcp-upgraded");
    add(entry, "MESSAGE_ID", catalog_id(stored.event.id));
    add(entry, "MCP_JOB", std::to_string(event.job));
    add(entry, "MCP_NUMBER", std::to_string(event.number));
    add(entry, "MCP_EVENT", stored.event.id);
    add(entry, "MCP_PHASE", phase_name(event.phase));
    add(entry, "MCP_TIER", tier_name(event.tier));
    add(entry, "MCP_APP", job.app);
    add(entry, "MCP_RELEASE", job.release);
    send_datagram(entry);
    if (event.last) jobs_.erase(event.job);
  } catch (...) {
    // Out of memory: an entry less, and the event is in its own log.
  }
}

void JournalEntries::send_datagram(std::string_view entry) {
  const auto time = std::chrono::steady_clock::now();
  if (!socket_ || time < silent_until_) return;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path_.size() >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  const ssize_t sent = ::sendto(socket_.get(), entry.data(), entry.size(), MSG_NOSIGNAL,
                                reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (sent < 0 && errno != EMSGSIZE) silent_until_ = time + kSilence;
}

}  // namespace mcpu
