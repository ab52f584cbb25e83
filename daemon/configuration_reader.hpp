#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mcpu {

/// One value of a configuration file, and where it stands there. Objects and arrays hold their
/// members in the order of the file.
struct Setting {
  enum class Type { kNull, kBoolean, kInteger, kNumber, kString, kArray, kObject };
  Type type = Type::kNull;
  bool boolean = false;
  std::int64_t integer = 0;
  double number = 0;  ///< also set for integers
  std::string text;
  std::vector<Setting> elements;
  std::string name;   ///< of a member of an object
  std::string key;    ///< a JSON pointer: "/applications/mcp/checks/0/name"; empty at the top
  unsigned line = 1;  ///< of the member's name, or of the value itself
};

/// "a string", "an object" ...: for messages.
std::string_view type_name(Setting::Type type);

inline constexpr std::size_t kMaxConfigurationBytes = 1 << 20;

/// Reads JSON with comments by events, never as a document of unknown depth. Error{kConfig} for
/// syntax errors, duplicate keys, nesting deeper than 16 and files beyond kMaxConfigurationBytes.
Setting read_settings(std::string_view text, const std::string& file);

/// Throws Error{kConfig, {file, line, key, reason}} with the text "FILE:LINE: KEY: reason".
[[noreturn]] void refuse_setting(const std::string& file, unsigned line, const std::string& key,
                                 const std::string& reason);

}  // namespace mcpu
