#pragma once

#include <map>
#include <string>
#include <string_view>

#include "daemon/event_log.hpp"
#include "daemon/unique_fd.hpp"

namespace mcpu {

/// A copy of every event in the system's journal, as a structured entry: MCP_JOB, MCP_PHASE,
/// MCP_TIER, MCP_EVENT (the message id), MCP_NUMBER, MCP_APP, MCP_RELEASE, and MESSAGE_ID for what
/// the catalog explains. By hand after journald's documented protocol, for the same reason as
/// service_manager.hpp. Details that concern one user stay out, since others may read the journal:
/// the entry names the command that shows them. For one thread at a time.
class JournalEntries {
 public:
  explicit JournalEntries(std::string socket = "/run/systemd/journal/socket");

  /// Never fails, and waits for a journal that takes nothing no longer than kPatience, once a
  /// second: the event log is what counts.
  void send(const StoredEvent& stored) noexcept;

  static constexpr std::chrono::milliseconds kPatience{100};

 private:
  /// What all entries of a job say, as its first events told it.
  struct Job {
    std::string app, release;
  };
  const Job& remember(const Event& event);
  void send_datagram(std::string_view entry);

  std::string path_;
  UniqueFd socket_;
  std::map<JobId, Job> jobs_;
  std::chrono::steady_clock::time_point silent_until_{};
};

/// The identifier of what systemd/mcp-upgraded.catalog explains; empty for other events.
std::string_view catalog_id(std::string_view event_id);

}  // namespace mcpu
