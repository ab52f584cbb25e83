#include "daemon/upgrade_service.hpp"

#include <unistd.h>

#include <algorithm>
#include <ranges>

#include "daemon/concern.hpp"
#include "daemon/dry_run.hpp"
#include "daemon/durable.hpp"
#include "daemon/job_runner.hpp"
#include "daemon/leftovers.hpp"
#include "daemon/pins_and_holds.hpp"
#include "daemon/problem.hpp"
#include "daemon/release_health.hpp"
#include "daemon/scratch.hpp"
#include "daemon/supervision.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

/// For one attempt of a pending recovery, when somebody asks for a change.
constexpr std::chrono::seconds kRetryWait{3};
/// For the whole of a recovery, services and homes that do not answer included.
constexpr std::chrono::minutes kSettleWait{30};

std::string name_of(std::uint32_t uid) {
  try {
    return identity_of(uid).name;
  } catch (const Error&) {
    return "uid " + std::to_string(uid);
  }
}

}  // namespace

UpgradeService::UpgradeService(Tools tools, const Instance& instance,
                               std::shared_ptr<const Configuration> configuration)
    : tools_(tools),
      instance_(instance),
      state_(tools.fs, tools.layout),
      events_(tools.fs, tools.layout),
      records_(tools.fs, tools.layout),
      results_(records_),
      configuration_(std::move(configuration)),
      access_(make_access(instance.user_mode, geteuid(), configuration_->group)),
      last_earlier_job_(records_.highest()),
      started_(now()),
      queue_({[this](QueuedJob& job) { run_job(job); },
              [this](QueuedJob& job, const JobResult& result) { drop_job(job, result); },
              [this] {
                const bool recovered = recover();
                settled_ = true;
                events_.wake_readers();  // Some wait for a final event that may never come.
                return recovered;
              },
              [this] { return tools_.fs.info(tools_.layout.journal()).has_value(); }}) {}

void UpgradeService::remove_what_a_crash_left() {
  std::vector<EntryPoint> entries;
  for (const Application& app : configuration_->applications) {
    entries.insert(entries.end(), app.entry_points.begin(), app.entry_points.end());
  }
  try {
    remove_leftovers(tools_.fs, tools_.layout, entries);
    remove_all_scratch(tools_);
  } catch (const Error&) {
    // They cost space, nothing else; the next start tries again.
  }
}

UpgradeService::~UpgradeService() { stop(); }

void UpgradeService::start() {
  std::string damage;
  const JobEnvironment environment = this->environment();
  try {
    // Before anybody asks: status is to say from the first moment that a job is being recovered.
    if (const auto job = Recovery(environment, state_, events_).find(damage)) {
      const std::lock_guard lock(mutex_);
      recovered_job_ = *job;
    }
  } catch (const Error&) {
    // recover() meets it again, and tells.
  }
  remove_what_a_crash_left();
  queue_.start();
}

void UpgradeService::stop() { queue_.stop(); }

void UpgradeService::reload(std::shared_ptr<const Configuration> configuration) {
  const Access access = make_access(instance_.user_mode, geteuid(), configuration->group);
  const std::lock_guard lock(mutex_);
  configuration_ = std::move(configuration);
  access_ = access;
  configuration_problem_.clear();
}

void UpgradeService::refuse_reload(const std::string& problem) {
  const std::lock_guard lock(mutex_);
  configuration_problem_ = problem;
}

std::string UpgradeService::activity() const {
  const QueueView view = queue_.view();
  if (view.running) {
    const JobRecord& job = *view.running;
    std::string text = "job " + std::to_string(job.id) + " (" +
                       std::string(kind_name(job.request.kind)) +
                       "): " + std::string(phase_name(view.phase));
    if (view.percent >= 0) text += " " + std::to_string(view.percent) + " %";
    return text;
  }
  const std::lock_guard lock(mutex_);
  if (pending_recovery_) {
    return (recovered_job_ == 0 ? "" : "job " + std::to_string(recovered_job_) + " ") +
           "needs attention: " + pending_text(*pending_recovery_, false);
  }
  if (recovered_job_ != 0) return "recovering job " + std::to_string(recovered_job_);
  if (!journal_damage_.empty()) return "needs attention: " + journal_damage_;
  return kIdleActivity;
}

JobEnvironment UpgradeService::environment() const {
  const std::lock_guard lock(mutex_);
  return {tools_, configuration_, instance_.user_mode};
}

Access UpgradeService::access() const {
  const std::lock_guard lock(mutex_);
  return access_;
}

std::string UpgradeService::pending_for(const Peer& peer) const {
  const std::lock_guard lock(mutex_);
  if (!pending_recovery_) return "";
  const auto uid = concerned_by(pending_recovery_->context());
  return pending_text(*pending_recovery_, !uid || mcpu::may_see(access_, *uid, peer));
}

void UpgradeService::refuse_if_damaged(const Peer& peer, bool may_rebuild) {
  if (!pending_for(peer).empty()) queue_.retry_recovery(kRetryWait);
  state_.try_again();
  forget_journal_damage_if_settled();
  const std::string pending = pending_for(peer);
  std::string reason = may_rebuild && state_.can_rebuild() ? "" : state_.damage();
  if (reason.empty()) {
    const std::lock_guard lock(mutex_);
    reason = journal_damage_;
  }
  if (reason.empty() && !pending.empty()) {
    reason = "an earlier job is not fully ended yet: " + pending;
  }
  if (!reason.empty()) {
    throw Error(Code::kRefused, reason + ". Nothing is changed before that is settled",
                {{"reason", reason}});
  }
}

std::string UpgradeService::settle() {
  queue_.retry_recovery(kSettleWait);
  if (const std::string damage = state_.damage(); !damage.empty()) return damage;
  const std::lock_guard lock(mutex_);
  if (!journal_damage_.empty()) return journal_damage_;
  return pending_recovery_ ? pending_text(*pending_recovery_, true) : "";
}

void UpgradeService::forget_journal_damage_if_settled() {
  const std::lock_guard lock(mutex_);
  if (journal_damage_.empty()) return;
  const std::string prefix = base_name(tools_.layout.journal()) + ".corrupt-";
  const auto names = tools_.fs.list(tools_.layout.state);
  const bool aside =
      std::ranges::any_of(names, [&](const std::string& name) { return name.starts_with(prefix); });
  if (!aside && !tools_.fs.info(tools_.layout.journal())) journal_damage_.clear();
}

JobRecord UpgradeService::make_record(const JobRequest& request, const Peer& peer) const {
  JobRecord record;
  record.request = request;
  record.uid = peer.uid;
  record.by = name_of(peer.uid);
  record.login_uid = peer.login_uid;
  record.queued_at = now();
  return record;
}

std::unique_ptr<QueuedJob> UpgradeService::make_job(const JobRequest& request, const Peer& peer) {
  auto job = std::make_unique<QueuedJob>();
  job->record = make_record(request, peer);
  job->record.id = std::max(state_.get()->next_job, records_.highest() + 1);
  records_.create(job->record);
  events_.open(job->record.id);
  job->log = std::make_unique<JobLog>(events_, job->record.id);
  return job;
}

std::optional<Ticket> UpgradeService::earlier_job(const JobRequest& request) const {
  if (!request.request_id) return std::nullopt;
  constexpr std::size_t kLooked = 20;  // a client asks again within seconds, and each costs time
  const auto ids = records_.list();
  for (const JobId id : ids | std::views::reverse | std::views::take(kLooked)) {
    const auto record = records_.read(id);
    if (record && record->request.request_id == request.request_id) {
      return Ticket{id, "joined", 0, std::chrono::seconds(0)};
    }
  }
  return std::nullopt;
}

Ticket UpgradeService::submit(const JobRequest& asked, const Peer& peer) {
  const JobEnvironment environment = this->environment();
  authorize_job(access(), peer, asked);
  JobRequest request = asked;
  // By its name from now on, whatever is configured later.
  request.app = environment.configuration->application(asked.app).name;
  const auto wait =
      request.wait.value_or(request.mode == Mode::kFull ? environment.configuration->wait_full
                                                        : environment.configuration->wait_quick);
  if (const auto same = queue_.same(request)) {
    return {same->job, "joined", same->position, wait};
  }
  if (auto earlier = earlier_job(request)) return *earlier;
  refuse_if_damaged(peer, request.kind == JobKind::kRepair);
  const auto state = state_.get();
  JobLog unheard;
  JobPlanner(environment, *state, unheard, nullptr).check(request);
  const auto place = queue_.add([&] { return make_job(request, peer); }, request.no_wait);
  return {place.job, place.position == 0 ? "started" : "queued", place.position, wait};
}

std::optional<JobResult> UpgradeService::result(JobId job) {
  // A result that is stored may still lack its final event: the recovery adds it.
  if (!settled_ && job <= last_earlier_job_) return std::nullopt;
  if (const auto result = results_.of(job)) return result;
  if (!queue_.has(job) && records_.lost(job)) {
    throw damaged_file(tools_.layout.job_file(job),
                       "how job " + std::to_string(job) + " ended is in its log alone");
  }
  return std::nullopt;
}

json UpgradeService::cancel(JobId job, const Peer& peer) {
  authorize_change(access(), peer, "cancel");
  std::string state;
  try {
    state = queue_.cancel(job);
  } catch (const Error&) {
    const auto ended = job == 0 ? std::nullopt : result(job);
    if (!ended) throw;
    if (ended->outcome != Outcome::kDone) {
      const auto seen = as_seen(*ended, [&](std::uint32_t uid) { return may_see(uid, peer); });
      const std::string name = "job " + std::to_string(job);
      throw Error(Code::kNotFound, name + " has already ended: " + seen.message, {{"what", name}});
    }
    state = "committed";
  }
  const std::string number = std::to_string(job);  // known by now, if none was given
  if (state == "committed") {
    return {{"job", job},
            {"state", state},
            {"message", "too late, job " + number + " is committed: 'mcpctl rollback' goes back"}};
  }
  if (state == "cancelling") {
    events_.emit(job, Tier::kWarning, Phase::kUndo, "job.cancel_requested",
                 {{"by", name_of(peer.uid)}});
  }
  return {{"job", job},
          {"state", state},
          {"message", state == "cancelled" ? "job " + number + " was cancelled before its turn"
                                           : "job " + number + " is being cancelled and undone"}};
}

json UpgradeService::plan(const JobRequest& request, const Peer& peer) {
  const JobEnvironment environment = this->environment();
  authorize_job(access(), peer, request);
  environment.configuration->application(request.app);
  JobRecord record = make_record(request, peer);
  record.id = std::max(state_.get()->next_job, records_.highest() + 1);
  const auto wait = request.wait.value_or(environment.configuration->wait_quick);
  json reply;
  queue_.run_in_turn(wait, [&](const Cancellation& cancellation) {
    reply = JobRunner(environment, state_, events_).dry_run(record, cancellation);
  });
  hide_private(reply, [&](std::uint32_t uid) { return may_see(uid, peer); });
  return reply;
}

Queries UpgradeService::queries(const Peer& peer) {
  forget_journal_damage_if_settled();
  QueueView view = queue_.view();
  std::vector<json> problems;
  if (const std::string damage = state_.damage(); !damage.empty())
    problems.push_back(problem(damage));
  if (const std::string loss = state_.loss(); !loss.empty()) {
    problems.push_back({{"what", loss},
                        {"remedy",
                         "set again what you need with 'mcpctl pin' and 'mcpctl hold'; 'mcpctl "
                         "unhold' says that there was nothing"}});
  }
  if (const std::string failure = events_.failure(); !failure.empty())
    problems.push_back(problem(failure));
  view.unstored = results_.unstored();
  for (const JobRecord& record : view.unstored) {
    problems.push_back({{"what", "the result of job " + std::to_string(record.id) +
                                     " could not be stored: " + record.result->message},
                        {"remedy", "mend what is named; the next job stores it"}});
  }
  {
    const std::lock_guard lock(mutex_);
    view.recovered_job = recovered_job_;
    if (!journal_damage_.empty()) problems.push_back(problem(journal_damage_));
    if (!configuration_problem_.empty()) {
      problems.push_back({{"what", configuration_problem_},
                          {"remedy", std::string("correct it, see 'mcpctl config validate'") +
                                         (instance_.user_mode ? "" : ", and reload it")},
                          {"file", escape_path(instance_.config_file)}});
    }
  }
  if (const std::string pending = pending_for(peer); !pending.empty()) {
    problems.push_back({{"what", "recovery is pending: " + pending},
                        {"remedy",
                         "mend what is named; it is tried again every minute and at "
                         "every start, and nothing is changed before"}});
  }
  const auto may_see = [access = access(), peer](std::uint32_t uid) {
    return mcpu::may_see(access, uid, peer);
  };
  return {environment(),   instance_,           started_, state_.get(),
          std::move(view), std::move(problems), may_see};
}

json UpgradeService::status(const std::string& app, bool verify, const Peer& peer) {
  json reply = queries(peer).status(app, verify);
  if (verify) remember_verified(state_, tools_.fs, tools_.layout, reply);
  return reply;
}

json UpgradeService::jobs(const std::string& app, std::size_t limit, const Peer& peer) {
  return queries(peer).jobs(app, limit);
}

json UpgradeService::releases(const std::string& app, const Peer& peer) {
  return queries(peer).releases(app);
}

json UpgradeService::mark(const std::string& app_name, const std::string& action,
                          const std::string& name, const Peer& peer) {
  authorize_change(access(), peer, action);
  const std::string app = environment().configuration->application(app_name).name;
  refuse_if_damaged(peer);
  return set_mark(tools_.fs, tools_.layout, state_, {app, action, name, name_of(peer.uid)});
}

json UpgradeService::show_configuration(const Peer& peer) {
  const auto configuration = environment().configuration;
  return {{"file", escape_path(instance_.config_file)},
          {"exists", !configuration->file.empty()},
          {"instance", queries(peer).instance()},
          {"configuration", to_json(*configuration)}};
}

bool UpgradeService::may_change(const Peer& peer) { return mcpu::may_change(access(), peer); }

bool UpgradeService::may_see(std::uint32_t uid, const Peer& peer) {
  return mcpu::may_see(access(), uid, peer);
}

JobId UpgradeService::latest_job() {
  const QueueView view = queue_.view();
  if (view.running) return view.running->id;
  return view.waiting.empty() ? 0 : view.waiting.front().id;
}

JobId UpgradeService::next_job(JobId job) {
  for (const JobId id : records_.list()) {
    if (id > job) return id;
  }
  return 0;
}

void UpgradeService::run_job(QueuedJob& job) {
  const JobRecord& record = job.record;
  const JobEnvironment environment = this->environment();
  job.log->info("job.started", {{"kind", kind_name(record.request.kind)},
                                {"mode", manner_name(record.request)},
                                {"app", record.request.app},
                                {"owner", record.by}});
  std::string failure;
  try {
    if (const std::string loss = state_.loss(); !loss.empty()) {
      job.log->warning("state.rebuilt", {{"loss", loss}});
    }
    results_.store();
    records_.write(record);
    JobRunner runner(environment, state_, events_);
    runner.run(record, *job.log, job.cancellation, [this] { queue_.mark_committed(); });
  } catch (const std::exception& error) {
    failure = error.what();
  }
  if (!failure.empty()) end_unstored(job, failure);
  events_.close(record.id);
}

void UpgradeService::end_unstored(QueuedJob& job, const std::string& failure) {
  // With a journal, recovery goes on with the job.
  if (tools_.fs.info(tools_.layout.journal())) {
    tell_end({Outcome::kNotRestored, failure, {}}, *job.log);
  } else {
    results_.keep(job.record, {Outcome::kFailed, failure + "; nothing was changed", {}}, *job.log);
  }
}

void UpgradeService::drop_job(QueuedJob& job, const JobResult& result) {
  const auto retention = environment().configuration->retention;
  results_.end({tools_, state_, events_, retention}, job.record, result, *job.log);
  events_.close(job.record.id);
}

void UpgradeService::store_results() {
  try {
    results_.store();
  } catch (const Error&) {
    // They are told from memory; the next job tries again.
  }
}

bool UpgradeService::recover() {
  const JobEnvironment environment = this->environment();
  Recovery recovery(environment, state_, events_);
  std::string damage;
  std::optional<Error> pending;
  JobId recovered = 0;
  try {
    recovered = recovery.find(damage).value_or(0);
  } catch (const Error& error) {
    pending = error;
  }
  if (recovered != 0) {
    {
      const std::lock_guard lock(mutex_);
      recovered_job_ = recovered;
    }
    pending = recovery.run();
  }
  {
    const std::lock_guard lock(mutex_);
    pending_recovery_ = pending;
    journal_damage_ = damage;
  }
  if (pending) {
    if (recovered != 0) tell_pending(recovered, *pending);
    return false;
  }
  store_results();
  // With a damaged journal nobody knows what is half done: everything stays as it is found.
  if (!tidied_ && damage.empty()) {
    try {
      recovery.tidy(last_earlier_job_);
    } catch (const std::exception&) {
      // Left-overs cost space, nothing else; the next start tries again.
    }
    tidied_ = true;
  }
  const std::lock_guard lock(mutex_);
  recovered_job_ = 0;
  return true;
}

void UpgradeService::tell_pending(JobId job, const Error& pending) {
  const auto record = records_.read(job);
  if (!record || results_.of(job)) return;
  const JobResult result{Outcome::kNotRestored,
                         std::string("its end is not complete yet: ") + pending.what() +
                             "; it is tried again every minute",
                         details_of(pending)};
  try {
    events_.open(job);
  } catch (const Error&) {
    return results_.remember(*record, result);  // there is no log that anybody could follow
  }
  JobLog log(events_, job);
  const auto retention = environment().configuration->retention;
  if (JobFinisher(tools_, state_, events_, retention).has_ended(job)) {
    results_.remember(*record, result);
  } else {
    results_.keep(*record, result, log);
  }
  events_.close(job);
}

}  // namespace mcpu
