#include "daemon/check_messages.hpp"

#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {
namespace {

using nlohmann::json;

Error malformed(const std::exception& error) {
  return Error(Code::kWorker,
               std::string("a message about a check cannot be read: ") + error.what());
}

std::string raw(const json& object, const char* key) {
  return unescape_path(object.at(key).get<std::string>());
}

}  // namespace

// Paths, arguments and values are bytes, not text: they travel escaped.

json check_run_to_json(const CheckRun& run) {
  json arguments = json::array();
  for (const auto& argument : run.arguments) arguments.push_back(escape_path(argument));
  json environment = json::object();
  for (const auto& [name, value] : run.environment) environment[name] = escape_path(value);
  return {{"name", to_utf8(run.name)},
          {"program", escape_path(run.program)},
          {"arguments", arguments},
          {"environment", environment},
          {"directory", escape_path(run.directory)},
          {"deadline_ms", run.deadline.count()},
          {"forbid", run.forbid},
          {"accept", run.accept}};
}

CheckRun check_run_from_json(const json& object) {
  try {
    CheckRun run;
    run.name = object.at("name").get<std::string>();
    run.program = raw(object, "program");
    for (const auto& argument : object.at("arguments")) {
      run.arguments.push_back(unescape_path(argument.get<std::string>()));
    }
    for (const auto& [name, value] : object.at("environment").items()) {
      run.environment[name] = unescape_path(value.get<std::string>());
    }
    run.directory = raw(object, "directory");
    run.deadline = std::chrono::milliseconds(object.at("deadline_ms").get<std::int64_t>());
    run.forbid = object.at("forbid").get<std::vector<std::string>>();
    run.accept = object.at("accept").get<std::vector<int>>();
    return run;
  } catch (const std::exception& error) {
    throw malformed(error);
  }
}

json check_result_to_json(const CheckResult& result) {
  return {{"name", to_utf8(result.name)},     {"passed", result.passed},
          {"exit_code", result.exit_code},    {"signal", result.signal},
          {"timed_out", result.timed_out},    {"start_error", result.start_error},
          {"reason", to_utf8(result.reason)}, {"forbidden", escape_path(result.forbidden)},
          {"output", to_utf8(result.output)}, {"duration_ms", result.duration.count()}};
}

CheckResult check_result_from_json(const json& object) {
  try {
    CheckResult result;
    result.name = object.at("name").get<std::string>();
    result.passed = object.at("passed").get<bool>();
    result.exit_code = object.at("exit_code").get<int>();
    result.signal = object.at("signal").get<int>();
    result.timed_out = object.at("timed_out").get<bool>();
    result.start_error = object.at("start_error").get<int>();
    result.reason = object.at("reason").get<std::string>();
    result.forbidden = raw(object, "forbidden");
    result.output = object.at("output").get<std::string>();
    result.duration = std::chrono::milliseconds(object.at("duration_ms").get<std::int64_t>());
    return result;
  } catch (const std::exception& error) {
    throw malformed(error);
  }
}

}  // namespace mcpu
