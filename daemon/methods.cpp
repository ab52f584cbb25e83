#include "daemon/methods.hpp"

#include <algorithm>
#include <array>

#include "proto/interface_description.hpp"
#include "proto/parameters.hpp"

namespace mcpu {

namespace {

constexpr std::string_view kServiceInterface = "org.varlink.service";
constexpr std::size_t kReleaseBytes = 256;
constexpr std::uint64_t kMostJobs = 1000;

constexpr std::string_view kServiceDescription = R"(# What every Varlink service can be asked.
interface org.varlink.service

method GetInfo() -> (
  vendor: string,
  product: string,
  version: string,
  url: string,
  interfaces: []string
)

method GetInterfaceDescription(interface: string) -> (description: string)

error InterfaceNotFound (interface: string)
error MethodNotFound (method: string)
error MethodNotImplemented (method: string)
error InvalidParameter (parameter: string)
error ExpectedMore ()
)";

/// What a method works with. Copied into the task.
struct Context {
  Service& service;
  Call call;
  Peer peer;
};

Answer reply_with(nlohmann::json parameters) {
  return {{std::move(parameters), false, ""}, {}, {}};
}

Answer get_info(const Context&) {
  return reply_with({{"vendor", "MCP Local Manager"},
                     {"product", "mcp-upgraded"},
                     {"version", MCPU_VERSION},
                     {"url", "https://github.com/czdtech/mcp-local-manager"},
                     {"interfaces", {kServiceInterface, "dev.mcplocal.Upgrade"}}});
}

Answer get_interface_description(const Context& context) {
  const auto name = context.call.parameters.find("interface");
  if (name == context.call.parameters.end() || !name->is_string()) {
    return {varlink_error("InvalidParameter", "parameter", "interface"), {}, {}};
  }
  if (*name == kServiceInterface) return reply_with({{"description", kServiceDescription}});
  if (*name == "dev.mcplocal.Upgrade") {
    return reply_with({{"description", interface_description()}});
  }
  return {varlink_error("InterfaceNotFound", "interface", name->get<std::string>()), {}, {}};
}

Answer submit(const Context& context, JobKind kind) {
  const JobRequest request = job_request_from_json(kind, context.call.parameters);
  const Ticket ticket = context.service.submit(request, context.peer);
  Answer answer = reply_with(ticket_parameters(ticket));
  answer.ticket = ticket;
  if (context.call.more) {
    answer.stream = std::make_unique<EventStream>(context.service, context.peer, ticket);
  }
  return answer;
}

Answer watch(const Context& context) {
  Parameters parameters(context.call.parameters);
  EventStream::View view;
  const auto job = parameters.integer("job", 0, INT64_MAX);
  const auto after = parameters.integer("after", 0, INT64_MAX);
  view.job = job.value_or(0);
  view.any_job = !job;
  view.after = after.value_or(0);
  view.follow = parameters.flag("follow");
  if (const auto level = parameters.text("level", 16)) {
    const auto tier = tier_from(*level);
    if (!tier) {
      throw invalid_parameter("level", "must be one of DEBUG, INFO, SUCCESS, WARNING, ERROR");
    }
    view.level = *tier;
  }
  parameters.finish();
  if (after && !job) throw invalid_parameter("after", "needs \"job\"");
  if (!context.call.more) return {{{}, false, "org.varlink.service.ExpectedMore"}, {}, {}};
  Answer answer;
  answer.stream = std::make_unique<EventStream>(context.service, context.peer, view);
  return answer;
}

Answer cancel(const Context& context) {
  Parameters parameters(context.call.parameters);
  const auto job = parameters.integer("job", 1, INT64_MAX);
  parameters.finish();
  return reply_with(context.service.cancel(job.value_or(0), context.peer));
}

Answer plan(const Context& context) {
  constexpr std::array kKinds{JobKind::kUpgrade, JobKind::kRollback, JobKind::kRepair};
  Parameters parameters(context.call.parameters);
  const auto kind = parameters.choice("kind", {"upgrade", "rollback", "repair"});
  if (!kind) throw invalid_parameter("kind", "is missing");
  nlohmann::json rest = context.call.parameters;
  rest.erase("kind");
  return reply_with(
      context.service.plan(job_request_from_json(kKinds.at(*kind), rest), context.peer));
}

Answer status(const Context& context) {
  Parameters parameters(context.call.parameters);
  const std::string app = parameters.app();
  const bool verify = parameters.flag("verify");
  parameters.finish();
  return reply_with(context.service.status(app, verify, context.peer));
}

Answer jobs(const Context& context) {
  Parameters parameters(context.call.parameters);
  const std::string app = parameters.app();
  const std::uint64_t limit = parameters.integer("limit", 1, kMostJobs).value_or(20);
  parameters.finish();
  return reply_with(context.service.jobs(app, limit, context.peer));
}

Answer releases(const Context& context) {
  Parameters parameters(context.call.parameters);
  const std::string app = parameters.app();
  parameters.finish();
  return reply_with(context.service.releases(app, context.peer));
}

Answer mark(const Context& context, const std::string& action, bool release_needed) {
  Parameters parameters(context.call.parameters);
  const std::string app = parameters.app();
  const auto release = parameters.text("release", kReleaseBytes);
  parameters.finish();
  if (release_needed && !release) throw invalid_parameter("release", "is missing");
  return reply_with(context.service.mark(app, action, release.value_or(""), context.peer));
}

Answer show_configuration(const Context& context) {
  Parameters(context.call.parameters).finish();
  return reply_with(context.service.show_configuration(context.peer));
}

struct Method {
  std::string_view name;
  Where where;
  Answer (*run)(const Context&);
};

constexpr auto kServiceMethods = std::to_array<Method>({
    {"GetInfo", Where::kServer, get_info},
    {"GetInterfaceDescription", Where::kServer, get_interface_description},
});

constexpr auto kMethods = std::to_array<Method>({
    {"Upgrade", Where::kShort, [](const Context& c) { return submit(c, JobKind::kUpgrade); }},
    {"Rollback", Where::kShort, [](const Context& c) { return submit(c, JobKind::kRollback); }},
    {"Check", Where::kShort, [](const Context& c) { return submit(c, JobKind::kCheck); }},
    {"Repair", Where::kShort, [](const Context& c) { return submit(c, JobKind::kRepair); }},
    {"Watch", Where::kServer, watch},
    {"Cancel", Where::kShort, cancel},
    {"Plan", Where::kLong, plan},
    {"Status", Where::kShort, status},
    {"Jobs", Where::kShort, jobs},
    {"Releases", Where::kShort, releases},
    {"Pin", Where::kShort, [](const Context& c) { return mark(c, "pin", true); }},
    {"Unpin", Where::kShort, [](const Context& c) { return mark(c, "unpin", true); }},
    {"Hold", Where::kShort, [](const Context& c) { return mark(c, "hold", false); }},
    {"Unhold", Where::kShort, [](const Context& c) { return mark(c, "unhold", false); }},
    {"ShowConfiguration", Where::kShort, show_configuration},
});

template <typename Table>
const Method* method_in(const Table& table, std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Method& method) { return method.name == name; });
  return found == table.end() ? nullptr : &*found;
}

Answer run_safely(const Method& method, const Context& context) {
  try {
    return method.run(context);
  } catch (const std::exception& error) {
    return {error_reply(error), {}, {}};
  }
}

Task answer_with(Reply reply) {
  return {Where::kServer, [reply = std::move(reply)] { return Answer{reply, {}, {}}; }};
}

Where place_of(const Method& method, const Call& call) {
  const bool verify = method.name == "Status" && call.parameters.contains("verify");
  return verify ? Where::kLong : method.where;
}

}  // namespace

Task make_task(Service& service, const Call& call, const Peer& peer) {
  const std::size_t dot = call.method.rfind('.');
  if (dot == std::string::npos) {
    return answer_with(varlink_error("InvalidParameter", "parameter", "method"));
  }
  const std::string interface = call.method.substr(0, dot);
  const std::string name = call.method.substr(dot + 1);
  const bool ours = interface == kInterfacePrefix.substr(0, kInterfacePrefix.size() - 1);
  if (!ours && interface != kServiceInterface) {
    return answer_with(varlink_error("InterfaceNotFound", "interface", interface));
  }
  const Method* method = ours ? method_in(kMethods, name) : method_in(kServiceMethods, name);
  if (method == nullptr) return answer_with(varlink_error("MethodNotFound", "method", call.method));
  if (call.upgrade) {
    return answer_with(varlink_error("MethodNotImplemented", "method", call.method));
  }
  return {place_of(*method, call), [method, context = Context{service, call, peer}] {
            return run_safely(*method, context);
          }};
}

}  // namespace mcpu
