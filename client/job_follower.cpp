#include "client/job_follower.hpp"

#include "proto/error.hpp"

namespace mcpu {

namespace {

/// How long the daemon may stay away before we give up: systemd restarts it within seconds.
constexpr std::chrono::seconds kAwayLimit{60};
constexpr int kPauseMilliseconds = 100;

/// Ends a stream that would go on with the next job.
struct JobEnded {};

}  // namespace

JobResult JobFollower::run(std::string_view method, const nlohmann::json& parameters) {
  method_ = method;
  parameters_ = parameters;
  return follow();
}

JobResult JobFollower::watch(std::optional<JobId> job, std::uint64_t after,
                             std::optional<Tier> level) {
  job_ = job;
  last_ = after;
  level_ = level;
  return follow();
}

void JobFollower::take(const nlohmann::json& reply) {
  heard_ = std::chrono::steady_clock::now();
  if (lost_) remark_("connected again");
  lost_ = false;
  const auto job = reply.find("job"), event = reply.find("event"), result = reply.find("result");
  if (job != reply.end() && job->is_number_integer()) job_ = job->get<JobId>();
  if (event != reply.end() && event->is_object()) {
    const std::uint64_t number = event->value("number", std::uint64_t{0});
    if (number <= last_) return;
    last_ = number;
  }
  if (result != reply.end() && result->is_object()) result_ = job_result_from_json(*result);
  show_(reply);
  const bool last = result_ || (event != reply.end() && event->value("last", false));
  if (any_job_ && last) throw JobEnded{};
}

void JobFollower::follow_once() {
  Connection connection = daemon_.open();
  const auto taken = [this](const nlohmann::json& reply) { take(reply); };
  if (!job_ && !method_.empty()) {
    connection.stream(method_, parameters_, taken);
    return;
  }
  nlohmann::json watched = {{"follow", true}};
  if (job_) watched.update({{"job", *job_}, {"after", last_}});
  if (level_) watched["level"] = tier_name(*level_);
  any_job_ = !job_;
  try {
    connection.stream("Watch", watched, taken);
  } catch (const JobEnded&) {
    // Asking again, now by its number, gives its result.
  }
}

void JobFollower::pause_after(const Error& error) {
  // Nobody there at the very first attempt is an answer; later it is a daemon on its way back.
  const bool started = heard_ != std::chrono::steady_clock::time_point{} || lost_;
  const bool away = error.code() == Code::kNoDaemon && (started || connection_lost(error));
  if (!away) throw error;
  const auto now = std::chrono::steady_clock::now();
  if (!lost_) {
    heard_ = now;
    lost_ = true;
    remark_(std::string(error.what()) + "; connecting again");
  }
  if (now - heard_ > kAwayLimit) throw error;
  daemon_.interrupts().wait(-1, 0, kPauseMilliseconds);
}

JobResult JobFollower::follow() {
  while (!result_) {
    try {
      follow_once();
      // A stream that ends in good order without a result ends with the daemon: it is leaving.
      if (!result_ && !any_job_)
        throw Error(Code::kNoDaemon, "the daemon is leaving", {{"lost", true}});
    } catch (const Error& error) {
      pause_after(error);
    }
  }
  return *result_;
}

}  // namespace mcpu
