#include "proto/event.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "proto/error.hpp"
#include "proto/message_catalogue.hpp"

namespace mcpu {

namespace {

constexpr std::array<std::pair<Tier, std::string_view>, 5> kTiers{{{Tier::kDebug, "DEBUG"},
                                                                   {Tier::kInfo, "INFO"},
                                                                   {Tier::kSuccess, "SUCCESS"},
                                                                   {Tier::kWarning, "WARNING"},
                                                                   {Tier::kError, "ERROR"}}};

constexpr std::array<std::pair<Phase, std::string_view>, 14> kPhases{
    {{Phase::kQueue, "queue"},
     {Phase::kResolve, "resolve"},
     {Phase::kPreflight, "preflight"},
     {Phase::kStage, "stage"},
     {Phase::kSnapshot, "snapshot"},
     {Phase::kMidCheck, "mid-check"},
     {Phase::kActivate, "activate"},
     {Phase::kRestart, "restart"},
     {Phase::kPostCheck, "post-check"},
     {Phase::kStale, "stale"},
     {Phase::kCommit, "commit"},
     {Phase::kPrune, "prune"},
     {Phase::kUndo, "undo"},
     {Phase::kRecovery, "recovery"}}};

template <typename Table, typename Value>
std::string_view name_in(const Table& table, Value value) {
  for (const auto& [each, name] : table) {
    if (each == value) return name;
  }
  return "unknown";
}

bool same_letters(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::toupper(x) == std::toupper(y);
  });
}

Event read_event(const nlohmann::json& json) {
  Event event;
  event.job = json.at("job").get<JobId>();
  event.number = json.at("number").get<std::uint64_t>();
  event.time = parse_time(json.at("time").get_ref<const std::string&>());
  const auto tier = tier_from(json.at("tier").get_ref<const std::string&>());
  const auto phase = phase_from(json.at("phase").get_ref<const std::string&>());
  if (!tier || !phase) throw Error(Code::kCorrupt, "an event has an unknown tier or phase");
  event.tier = *tier;
  event.phase = *phase;
  event.id = json.at("id").get<std::string>();
  event.fields = json.at("fields");
  event.text = json.at("text").get<std::string>();
  if (!event.fields.is_object()) throw Error(Code::kCorrupt, "an event's fields are no object");
  if (const auto uid = json.find("concerns"); uid != json.end())
    event.concerns = uid->get<std::uint32_t>();
  event.last = json.value("last", false);
  return event;
}

}  // namespace

std::string_view tier_name(Tier tier) { return name_in(kTiers, tier); }

std::optional<Tier> tier_from(std::string_view name) {
  for (const auto& [tier, each] : kTiers) {
    if (same_letters(each, name)) return tier;
  }
  return std::nullopt;
}

std::string_view phase_name(Phase phase) { return name_in(kPhases, phase); }

std::optional<Phase> phase_from(std::string_view name) {
  for (const auto& [phase, each] : kPhases) {
    if (each == name) return phase;
  }
  return std::nullopt;
}

nlohmann::json to_json(const Event& event) {
  nlohmann::json json = {{"job", event.job},
                         {"number", event.number},
                         {"time", format_time(event.time)},
                         {"tier", tier_name(event.tier)},
                         {"phase", phase_name(event.phase)},
                         {"id", event.id},
                         {"fields", event.fields},
                         {"text", event.text}};
  if (event.concerns) json["concerns"] = *event.concerns;
  if (event.last) json["last"] = true;
  return json;
}

Event event_from_json(const nlohmann::json& json) {
  try {
    return read_event(json);
  } catch (const nlohmann::json::exception& error) {
    throw Error(Code::kCorrupt, std::string("not an event: ") + error.what());
  } catch (const Error& error) {
    throw Error(Code::kCorrupt, error.what());
  }
}

Event without_details(const Event& event) {
  Event reduced = event;
  reduced.id = "event.private";
  reduced.fields = nlohmann::json::object();
  const auto shown = event.fields.find(kPublicText);
  reduced.text = shown != event.fields.end() && shown->is_string()
                     ? shown->get<std::string>()
                     : render_message(reduced.id, reduced.fields);
  return reduced;
}

}  // namespace mcpu
