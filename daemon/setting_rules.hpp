#pragma once

#include <string>

namespace mcpu {

// Rules for texts of the configuration file: each says what is wrong ("must be an absolute path"),
// or returns an empty text. Pure functions.

/// A name that becomes one component of a path of ours: letters, digits, '.', '_', '-', not
/// starting with '.' or '-', at most 64 bytes.
std::string plain_name_rule(const std::string& text);
/// A user or group name of the password database's usual form.
std::string account_name_rule(const std::string& text);
/// Absolute, without "." and ".." components, not "/".
std::string absolute_path_rule(const std::string& text);
/// Relative, without empty, "." and ".." components.
std::string relative_path_rule(const std::string& text);
/// An absolute path or a URL of kSourceSchemes, or USER@HOST:PATH.
std::string source_rule(const std::string& text);
std::string not_empty_rule(const std::string& text);
/// Empty, or a JSON pointer ("/mcpServers").
std::string json_pointer_rule(const std::string& text);
std::string variable_name_rule(const std::string& text);
/// "nginx.service", "app@1.socket"; none of this daemon's own units.
std::string unit_name_rule(const std::string& text);
/// Empty, or numbers joined by dots.
std::string version_rule(const std::string& text);

}  // namespace mcpu
