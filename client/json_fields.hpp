#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace mcpu {

/// Lenient reading of what a daemon replied, perhaps one of another version: what is absent, null
/// or of another type reads as empty, and nothing throws.
inline std::string text_of(const nlohmann::json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

inline std::uint64_t number_of(const nlohmann::json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  const bool whole = found != object.end() && found->is_number_integer();
  return whole && found->get<std::int64_t>() >= 0 ? found->get<std::uint64_t>() : 0;
}

inline bool flag_of(const nlohmann::json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

/// An object or array among the members; null if there is none.
inline const nlohmann::json& member_of(const nlohmann::json& object, const char* key) {
  static const nlohmann::json kNothing;
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && found->is_structured() ? *found : kNothing;
}

}  // namespace mcpu
