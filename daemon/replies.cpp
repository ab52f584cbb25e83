#include "daemon/replies.hpp"

#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

Reply make_error(Code code, const std::string& message, nlohmann::json context) {
  context["message"] = to_utf8(message);
  return {std::move(context), false, std::string(kInterfacePrefix) + std::string(code_name(code))};
}

}  // namespace

Reply error_reply(const std::exception& error) {
  if (const auto* ours = dynamic_cast<const Error*>(&error)) {
    return make_error(ours->code(), ours->what(), ours->context());
  }
  return make_error(Code::kInternal,
                    std::string("mistake in the daemon: ") + error.what() +
                        "; please report it with the output of 'mcpctl logs 0'",
                    nlohmann::json::object());
}

Reply busy_reply(const nlohmann::json& details) {
  const auto text = [&](const char* key) {
    return details.contains(key) && details[key].is_string() ? details[key].get<std::string>() : "";
  };
  const std::string job = details.contains("job") ? details["job"].dump() : "another job";
  return make_error(Code::kBusy,
                    "gave up waiting: job " + job + " of " + text("owner") + " is in phase " +
                        text("phase") + "; watch it with 'mcpctl watch " + job +
                        "' or wait longer with --wait",
                    details);
}

Reply varlink_error(std::string_view name, std::string_view parameter, std::string_view value) {
  return {{{std::string(parameter), to_utf8(value)}},
          false,
          "org.varlink.service." + std::string(name)};
}

nlohmann::json ticket_parameters(const Ticket& ticket) {
  return {{"job", ticket.job}, {"disposition", ticket.disposition}, {"position", ticket.position}};
}

}  // namespace mcpu
