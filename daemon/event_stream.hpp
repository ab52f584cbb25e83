#pragma once

#include <optional>
#include <string>
#include <utility>

#include "daemon/peer.hpp"
#include "daemon/service.hpp"

namespace mcpu {

/// One reader's way through the event log: not a queue, but a place in it. Whenever the reader can
/// take more, fill() makes the next replies of its call. For the server's thread; cheap to hold.
class EventStream {
 public:
  enum class State {
    kMore,     ///< the buffer is full: come again once it is written
    kWaiting,  ///< nothing more at present: come again when events became durable
    kRetry,    ///< come again soon: the job's result is about to be known
    kDone      ///< the final reply is in the buffer
  };

  /// What a reader wants to see.
  struct View {
    JobId job = 0;
    bool any_job = false;     ///< `job` is still to be found: the running or the next one
    std::uint64_t after = 0;  ///< number of the last event known already
    bool follow = false;      ///< wait for what is to come; with any_job go on from job to job
    Tier level = Tier::kDebug;
  };

  EventStream(Service& service, Peer peer, const View& view)
      : service_(service),
        peer_(std::move(peer)),
        view_(view),
        next_(view.after + 1),
        searching_(view.any_job) {}

  /// The stream of a caller that asked for a job: first its disposition, then every event, at last
  /// the result, or Busy if its waiting time ran out.
  EventStream(Service& service, Peer peer, const Ticket& ticket);

  /// Appends whole frames to `out` until it holds about `most_bytes`. Never throws: an error is the
  /// final reply.
  State fill(std::string& out, std::size_t most_bytes);

 private:
  State step(std::string& out, std::size_t most_bytes);
  std::optional<State> find_job(std::string& out);
  std::vector<std::shared_ptr<const StoredEvent>> read_events();
  bool append_events(std::string& out, std::size_t most_bytes);
  State at_end(std::string& out, std::size_t most_bytes);
  State finish(std::string& out, bool complete);
  void append(std::string& out, const StoredEvent& stored) const;
  bool knows_end();
  void append_end_lost(std::string& out);

  Service& service_;
  Peer peer_;
  View view_;
  std::uint64_t next_ = 1;
  bool searching_ = false;  ///< the next job is not known yet
  JobId previous_ = 0;      ///< the one before it
  bool ended_ = false;      ///< the job's final event was seen
  bool caller_ = false;     ///< the reader asked for this job
  std::string prefix_;      ///< the disposition's frame
  int retries_ = 0;
};

}  // namespace mcpu
