#pragma once

#include <exception>

#include "daemon/service.hpp"
#include "proto/codec.hpp"

namespace mcpu {

/// The interface's name, with its final dot.
inline constexpr std::string_view kInterfacePrefix = "dev.mcplocal.Upgrade.";

/// The typed error reply for whatever was thrown: an Error becomes the error of the protocol with
/// its parameters and the sentence for a person, anything else Internal.
Reply error_reply(const std::exception& error);
/// Busy for a job whose waiting time ran out; `details` as Service::busy_details() gives them.
Reply busy_reply(const nlohmann::json& details);
/// One of Varlink's own errors: "MethodNotFound", with its one parameter.
Reply varlink_error(std::string_view name, std::string_view parameter, std::string_view value);
/// (job, disposition, position).
nlohmann::json ticket_parameters(const Ticket& ticket);

}  // namespace mcpu
