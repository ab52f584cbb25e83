#include "daemon/job_record.hpp"

#include <algorithm>
#include <charconv>

#include "daemon/concern.hpp"
#include "daemon/durable.hpp"
#include "daemon/state_store.hpp"
#include "proto/url.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

constexpr std::uint64_t kMaxRecordBytes = 4 << 20;

JobRecord record_from_json(const json& document) {
  JobRecord record;
  record.id = document.at("job");
  const auto kind = kind_from(document.at("kind").get_ref<const std::string&>());
  if (!kind) throw Error(Code::kCorrupt, "names an unknown kind of job");
  record.request = job_request_from_json(*kind, document.at("request"));
  record.uid = document.at("uid");
  record.by = document.at("by");
  if (document.contains("login_uid")) record.login_uid = document.at("login_uid");
  const auto time = [&](const char* key) -> std::optional<TimePoint> {
    if (!document.contains(key)) return std::nullopt;
    return parse_time(document.at(key).get<std::string>());
  };
  record.queued_at = parse_time(document.at("queued_at").get<std::string>());
  record.started_at = time("started_at");
  record.finished_at = time("finished_at");
  if (document.contains("result")) record.result = job_result_from_json(document.at("result"));
  return record;
}

}  // namespace

json to_json(const JobRecord& record) {
  JobRequest request = record.request;
  if (request.from) request.from = without_password(*request.from);
  json document{{"format", 1},
                {"job", record.id},
                {"kind", kind_name(record.request.kind)},
                {"request", to_json(request)},
                {"uid", record.uid},
                {"by", record.by},
                {"queued_at", format_time(record.queued_at)}};
  if (record.login_uid) document["login_uid"] = *record.login_uid;
  if (record.started_at) document["started_at"] = format_time(*record.started_at);
  if (record.finished_at) document["finished_at"] = format_time(*record.finished_at);
  if (record.result) document["result"] = to_json(*record.result);
  return document;
}

std::vector<JobId> JobRecords::list() const {
  std::vector<JobId> ids;
  if (!fs_.info(layout_.jobs())) return ids;
  for (const std::string& name : fs_.list(layout_.jobs())) {
    JobId id = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
    if (error == std::errc() && end == name.data() + name.size() && id > 0) ids.push_back(id);
  }
  std::ranges::sort(ids);
  return ids;
}

json details_of(const Error& error) {
  return {{"error", code_name(error.code())}, {"context", error.context()}};
}

std::optional<std::uint32_t> concerned_by(const JobResult& result) {
  const auto context = result.details.find("context");
  return context == result.details.end() ? std::nullopt : concerned_by(*context);
}

JobResult without_details(const JobResult& result) {
  const bool pending = result.outcome == Outcome::kNotRestored;
  JobResult reduced = result;
  reduced.message =
      without_details(result.details.at("context"), pending ? kNotPutBack : "failed this job");
  reduced.details.erase("context");
  return reduced;
}

JobResult as_seen(const JobResult& result, const std::function<bool(std::uint32_t)>& may_see) {
  const auto concerned = concerned_by(result);
  return concerned && !may_see(*concerned) ? without_details(result) : result;
}

JobId JobRecords::highest() const {
  const auto ids = list();
  return ids.empty() ? 0 : ids.back();
}

void JobRecords::create(const JobRecord& record) {
  make_directories(fs_, layout_.jobs(), 0700);
  // Under another name first: a job that is there has its record, whatever stops us.
  const std::string unborn = layout_.jobs() + "/." + std::to_string(record.id) + ".tmp";
  remove_tree(fs_, unborn);
  fs_.make_directory(unborn, 0700);
  write_durably(fs_, unborn + "/job.json", to_json(record).dump(1) + "\n", 0600);
  fs_.rename(unborn, layout_.job(record.id), IfExists::kFail);
  fs_.sync_directory(layout_.jobs());
}

void JobRecords::write(const JobRecord& record) {
  write_durably(fs_, layout_.job_file(record.id), to_json(record).dump(1) + "\n", 0600);
}

std::optional<JobRecord> JobRecords::read(JobId id) const {
  try {
    return load(id);
  } catch (const Error&) {
    return std::nullopt;
  }
}

bool JobRecords::lost(JobId id) const { return fs_.info(layout_.job(id)) && !read(id); }

std::optional<JobRecord> JobRecords::load(JobId id) const {
  try {
    if (!fs_.info(layout_.job_file(id))) return std::nullopt;
    return record_from_json(json::parse(read_file(fs_, layout_.job_file(id), kMaxRecordBytes)));
  } catch (const json::exception&) {
    return std::nullopt;
  } catch (const Error& error) {
    if (!says_damage(error)) throw;
    return std::nullopt;
  }
}

void JobRecords::remove(JobId id) { remove_tree(fs_, layout_.job(id)); }

}  // namespace mcpu
