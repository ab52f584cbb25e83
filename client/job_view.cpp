#include "client/job_view.hpp"

namespace mcpu {

bool JobView::wanted(const Event& event) const {
  // The last word of a job is its result: shown however quiet it is.
  if (arguments_.quiet) return event.tier >= Tier::kWarning || event.last;
  if (arguments_.verbose) return true;
  return event.tier != Tier::kDebug && !is_progress(event);
}

/// That somebody else is shown details is said once for each job and tier, and of its end.
bool JobView::is_repeated(const Event& event) {
  return event.id == "event.private" && !event.last &&
         !private_.insert({event.job, event.tier}).second;
}

void JobView::show_event(const Event& event) {
  if (is_progress(event) && screen_.live() && !arguments_.quiet) {
    screen_.transient(progress_line(event, screen_.width() - 1));
    return;
  }
  if (wanted(event) && !is_repeated(event)) screen_.print(event_line(event, screen_.paint()));
}

void JobView::show_disposition(const nlohmann::json& reply) {
  const std::string disposition = reply.value("disposition", "");
  const std::string job = std::to_string(reply.value("job", JobId{0}));
  if (disposition == "joined") {
    remark("the same work is already under way as job " + job + ": following it");
  } else if (disposition == "queued") {
    const auto position = reply.find("position");
    const bool known = position != reply.end() && position->is_number();
    remark("job " + job + " waits for its turn" +
           (known ? ", position " + position->dump() : std::string()));
  }
}

void JobView::show(const nlohmann::json& reply) {
  if (arguments_.json) {
    screen_.print(reply.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  if (reply.contains("disposition") && reply.at("disposition").is_string()) show_disposition(reply);
  if (reply.contains("event") && reply.at("event").is_object()) {
    show_event(event_from_json(reply.at("event")));
  }
}

void JobView::remark(const std::string& text) {
  if (arguments_.json || arguments_.quiet) return;
  screen_.note(printable(text));
}

}  // namespace mcpu
