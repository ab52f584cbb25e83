#include "proto/job_request.hpp"

#include <algorithm>
#include <array>
#include <tuple>

#include "proto/error.hpp"
#include "proto/parameters.hpp"

namespace mcpu {

namespace {

constexpr std::size_t kSourceBytes = 4096;
constexpr std::size_t kReleaseBytes = 256;
constexpr std::size_t kRequestIdBytes = 128;
constexpr std::uint64_t kWaitSeconds = 24 * 60 * 60;

constexpr std::array<std::string_view, 4> kKinds{"upgrade", "rollback", "check", "repair"};
constexpr std::array<std::string_view, 7> kOutcomes{
    "done", "nothing_to_do", "failed", "refused", "cancelled", "expired", "not_restored"};

void read_upgrade(Parameters& parameters, JobRequest& request) {
  request.mode = static_cast<Mode>(parameters.choice("mode", {"quick", "full"}).value_or(0));
  request.force = parameters.flag("force");
  request.worktree = parameters.flag("worktree");
  request.unattended = parameters.flag("unattended");
  request.from = parameters.text("from", kSourceBytes);
  request.to = parameters.text("to", kReleaseBytes);
  if (request.worktree && request.to) {
    throw invalid_parameter("worktree", "takes the files as they are and excludes \"to\"");
  }
}

void read_rollback(Parameters& parameters, JobRequest& request) {
  request.to = parameters.text("to", kReleaseBytes);
  request.configs = static_cast<ConfigPolicy>(
      parameters.choice("configs", {"auto", "always", "never"}).value_or(0));
}

void read_waiting(Parameters& parameters, JobRequest& request) {
  request.request_id = parameters.text("request_id", kRequestIdBytes);
  request.no_wait = parameters.flag("no_wait");
  if (const auto seconds = parameters.integer("wait", 0, kWaitSeconds)) {
    request.wait = std::chrono::seconds(*seconds);
  }
  if (request.no_wait && request.wait) {
    throw invalid_parameter("no_wait", "excludes \"wait\"");
  }
}

void put_flag(nlohmann::json& json, const char* key, bool value) {
  if (value) json[key] = true;
}

void put_text(nlohmann::json& json, const char* key, const std::optional<std::string>& value) {
  if (value) json[key] = *value;
}

void put_work(nlohmann::json& json, const JobRequest& request) {
  switch (request.kind) {
    case JobKind::kUpgrade:
      json["mode"] = mode_name(request.mode);
      put_flag(json, "force", request.force);
      put_flag(json, "worktree", request.worktree);
      put_flag(json, "unattended", request.unattended);
      put_text(json, "from", request.from);
      put_text(json, "to", request.to);
      return;
    case JobKind::kRollback:
      put_text(json, "to", request.to);
      json["configs"] = policy_name(request.configs);
      return;
    case JobKind::kCheck:
      put_flag(json, "deep", request.deep);
      return;
    case JobKind::kRepair:
      return;
  }
}

}  // namespace

std::string_view kind_name(JobKind kind) { return kKinds.at(static_cast<std::size_t>(kind)); }

std::optional<JobKind> kind_from(std::string_view name) {
  const auto found = std::ranges::find(kKinds, name);
  if (found == kKinds.end()) return std::nullopt;
  return static_cast<JobKind>(found - kKinds.begin());
}

std::string_view mode_name(Mode mode) { return mode == Mode::kQuick ? "quick" : "full"; }

std::string_view manner_name(const JobRequest& request) {
  return request.deep ? "deep" : mode_name(request.mode);
}

std::string_view policy_name(ConfigPolicy policy) {
  switch (policy) {
    case ConfigPolicy::kAuto:
      return "auto";
    case ConfigPolicy::kAlways:
      return "always";
    case ConfigPolicy::kNever:
      return "never";
  }
  return "unknown";
}

nlohmann::json to_json(const JobRequest& request) {
  nlohmann::json json = nlohmann::json::object();
  if (!request.app.empty()) json["app"] = request.app;
  put_work(json, request);
  put_text(json, "request_id", request.request_id);
  if (request.wait) json["wait"] = request.wait->count();
  put_flag(json, "no_wait", request.no_wait);
  return json;
}

JobRequest job_request_from_json(JobKind kind, const nlohmann::json& json) {
  Parameters parameters(json);
  JobRequest request;
  request.kind = kind;
  request.app = parameters.app();
  switch (kind) {
    case JobKind::kUpgrade:
      read_upgrade(parameters, request);
      break;
    case JobKind::kRollback:
      read_rollback(parameters, request);
      break;
    case JobKind::kCheck:
      request.deep = parameters.flag("deep");
      break;
    case JobKind::kRepair:
      break;
  }
  read_waiting(parameters, request);
  parameters.finish();
  return request;
}

bool same_work(const JobRequest& a, const JobRequest& b) {
  const auto work = [](const JobRequest& each) {
    return std::tie(each.kind, each.app, each.mode, each.force, each.worktree, each.unattended,
                    each.deep, each.from, each.to, each.configs);
  };
  return work(a) == work(b);
}

std::string_view outcome_name(Outcome outcome) {
  return kOutcomes.at(static_cast<std::size_t>(outcome));
}

std::optional<Outcome> outcome_from(std::string_view name) {
  for (std::size_t i = 0; i < kOutcomes.size(); ++i) {
    if (kOutcomes[i] == name) return static_cast<Outcome>(i);
  }
  return std::nullopt;
}

nlohmann::json to_json(const JobResult& result) {
  return {{"outcome", outcome_name(result.outcome)},
          {"message", result.message},
          {"details", result.details}};
}

JobResult job_result_from_json(const nlohmann::json& json) {
  try {
    const auto outcome = outcome_from(json.at("outcome").get_ref<const std::string&>());
    if (!outcome) throw Error(Code::kCorrupt, "a job's result has an unknown outcome");
    return {*outcome, json.at("message").get<std::string>(),
            json.value("details", nlohmann::json::object())};
  } catch (const nlohmann::json::exception& error) {
    throw Error(Code::kCorrupt, std::string("not a job's result: ") + error.what());
  }
}

int exit_code(Outcome outcome) {
  switch (outcome) {
    case Outcome::kDone:
    case Outcome::kNothingToDo:
      return 0;
    case Outcome::kFailed:
    case Outcome::kRefused:
    case Outcome::kCancelled:
      return 1;
    case Outcome::kExpired:
      return 3;
    case Outcome::kNotRestored:
      return 6;
  }
  return 1;
}

}  // namespace mcpu
