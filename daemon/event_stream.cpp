#include "daemon/event_stream.hpp"

#include "daemon/event_file.hpp"
#include "daemon/job_record.hpp"
#include "daemon/replies.hpp"
#include "proto/codec.hpp"
#include "proto/error.hpp"
#include "proto/message_catalogue.hpp"

namespace mcpu {

namespace {

constexpr std::size_t kEventsAtOnce = 64;
/// The result follows the final event within moments; the server comes again every 2 ms.
constexpr int kMostRetries = 5000;

void append_event(std::string& out, JobId job, const std::string& event) {
  // Put together from the text that was made once for all readers.
  out += "{\"continues\":true,\"parameters\":{\"event\":";
  out += event;
  out += ",\"job\":";
  out += std::to_string(job);
  out += "}}";
  out += '\0';
}

}  // namespace

EventStream::EventStream(Service& service, Peer peer, const Ticket& ticket)
    : EventStream(service, std::move(peer), View{ticket.job, false, 0, true, Tier::kDebug}) {
  caller_ = true;
  prefix_ = encode_frame(to_json(Reply{ticket_parameters(ticket), true, ""}));
}

EventStream::State EventStream::fill(std::string& out, std::size_t most_bytes) {
  out += std::exchange(prefix_, "");
  try {
    return step(out, most_bytes);
  } catch (const std::exception& error) {
    out += encode_frame(to_json(error_reply(error)));
    return State::kDone;
  }
}

EventStream::State EventStream::step(std::string& out, std::size_t most_bytes) {
  for (;;) {
    if (out.size() >= most_bytes) return State::kMore;
    if (searching_) {
      if (const auto state = find_job(out)) return *state;
    }
    if (append_events(out, most_bytes)) continue;
    const State state = at_end(out, most_bytes);
    if (state != State::kMore) return state;
  }
}

/// Looks for the job to read; empty: found it.
std::optional<EventStream::State> EventStream::find_job(std::string& out) {
  const JobId job = previous_ == 0 ? service_.latest_job() : service_.next_job(previous_);
  if (job != 0) {
    view_.job = job;
    searching_ = false;
    return std::nullopt;
  }
  if (view_.follow) return State::kWaiting;
  out += encode_frame(to_json(Reply{}));
  return State::kDone;
}

/// A job that a dead daemon had only just made may have no log before its recovery writes one.
std::vector<std::shared_ptr<const StoredEvent>> EventStream::read_events() {
  try {
    return service_.events().read(view_.job, next_, kEventsAtOnce);
  } catch (const Error& error) {
    if (error.code() != Code::kNotFound || !caller_) throw;
    return {};
  }
}

void EventStream::append(std::string& out, const StoredEvent& stored) const {
  const Event& event = stored.event;
  if (event.tier < view_.level) return;
  const bool full = !event.concerns || service_.may_see(*event.concerns, peer_);
  append_event(out, view_.job, full ? stored.json : stored.json_reduced);
}

/// Appends the next events; false if there are none at present.
bool EventStream::append_events(std::string& out, std::size_t most_bytes) {
  if (ended_) return false;
  const auto events = read_events();
  for (const auto& stored : events) {
    const Event& event = stored->event;
    next_ = event.number + 1;
    ended_ = event.last && view_.job != 0;
    append(out, *stored);
    if (ended_ || out.size() >= most_bytes) break;
  }
  return !events.empty();
}

/// Everything there is was read: the end of the job, of the reading, or just for now. kMore: go on.
EventStream::State EventStream::at_end(std::string& out, std::size_t most_bytes) {
  if (ended_) return finish(out, true);
  // An open log gets its final event; only one that was damaged may have lost it, with or without
  // the job's record.
  const bool open = view_.job == 0 || service_.events().is_open(view_.job) || !service_.settled();
  if (open) return view_.follow ? State::kWaiting : finish(out, true);
  if (append_events(out, most_bytes)) return State::kMore;
  return finish(out, knows_end());
}

/// Whether a reader who asked for what comes behind an event has seen the final one, or never will.
bool EventStream::knows_end() {
  if (view_.after == 0 || next_ != view_.after + 1) return false;
  const auto known = service_.events().read(view_.job, view_.after, 1);
  return known.empty() || known.front()->event.last;
}

/// The job has ended, and its log lacks the final event.
void EventStream::append_end_lost(std::string& out) {
  Event event{view_.job, next_, now(), Tier::kWarning, Phase::kRecovery, "log.cut",
              {},        "",    {},    false};
  event.fields = {{"file", escape_path(service_.events().file(view_.job))}};
  event.text = to_utf8(render_message(event.id, event.fields));
  append(out, *make_stored(std::move(event)));
}

EventStream::State EventStream::finish(std::string& out, bool complete) {
  const auto result = view_.job == 0 ? std::nullopt : service_.result(view_.job);
  if (ended_ && !result && ++retries_ <= kMostRetries) return State::kRetry;
  if (result && !complete) append_end_lost(out);
  if (view_.any_job && view_.follow) {
    previous_ = view_.job;
    searching_ = true;
    ended_ = false;
    next_ = 1;
    retries_ = 0;
    return State::kMore;
  }
  if (caller_ && result && result->outcome == Outcome::kExpired) {
    out += encode_frame(to_json(busy_reply(service_.busy_details())));
    return State::kDone;
  }
  Reply reply{{{"job", view_.job}}, false, ""};
  const auto may_see = [this](std::uint32_t uid) { return service_.may_see(uid, peer_); };
  if (result) reply.parameters["result"] = to_json(as_seen(*result, may_see));
  out += encode_frame(to_json(reply));
  return State::kDone;
}

}  // namespace mcpu
