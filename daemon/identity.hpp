#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace mcpu {

/// A user as the password database knows it, looked up when the configuration is read or a job is
/// planned, never for a connection.
struct Identity {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string name;
  std::string home;  ///< absolute
  std::string shell;
};

/// Throws Error{kNotFound} naming the user.
Identity identity_of(const std::string& user_name);
Identity identity_of(std::uint32_t uid);
/// This process's user, but with HOME from the environment if that is an absolute path: user mode
/// follows the user, tests and `quickstart` rely on it.
Identity own_identity();

nlohmann::json to_json(const Identity& who);
/// Throws nlohmann::json::exception for anything that to_json did not write.
Identity identity_from_json(const nlohmann::json& document);

}  // namespace mcpu
