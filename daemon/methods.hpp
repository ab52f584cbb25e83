#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "daemon/event_stream.hpp"
#include "daemon/replies.hpp"

namespace mcpu {

/// What a call came to.
struct Answer {
  Reply reply;
  std::unique_ptr<EventStream> stream;  ///< several replies, in place of `reply`
  std::optional<Ticket> ticket;         ///< of the job that was asked for
};

/// Where a call is worked on: on the server's own thread, or on one that may block, shortly (a
/// write or two) or for long (a source is asked, a tree is read).
enum class Where { kServer, kShort, kLong };

/// A call that is understood, ready to be run. `run` never throws.
struct Task {
  Where where = Where::kServer;
  std::function<Answer()> run;
};

/// Turns a call into calls of the service: all methods of both interfaces are listed here. Never
/// throws: a call that is not understood is a task that answers with the error. `service` must
/// outlive the task.
Task make_task(Service& service, const Call& call, const Peer& peer);

}  // namespace mcpu
