#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/plan.hpp"
#include "proto/error.hpp"

namespace mcpu {

// What went wrong in one user's home: an error's context names whom it concerns, and only that user
// and root see the details. Pure functions, callable from any thread.

/// The error as something in this user's home.
Error about(const ManagedUser& user, const Error& error);

/// Whom alone the details concern, by an error's context; empty: everybody.
std::optional<std::uint32_t> concerned_by(const nlohmann::json& context);

/// What everybody else is told: that something in the home `happened` ("failed this job").
std::string without_details(const nlohmann::json& context, const std::string& happened);

/// What happened when something cannot be undone yet.
inline const std::string kNotPutBack = "cannot be put back yet";
/// Why it cannot: to those who may see whom it concerns (`full`), or to everybody.
std::string pending_text(const Error& pending, bool full);

}  // namespace mcpu
