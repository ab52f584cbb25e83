#include "proto/parameters.hpp"

#include <algorithm>

#include "proto/text.hpp"

namespace mcpu {

namespace {

const nlohmann::json& no_parameters() {
  static const nlohmann::json empty = nlohmann::json::object();
  return empty;
}

/// What people call the type of a value they sent.
std::string type_of(const nlohmann::json& value) {
  if (value.is_number_float()) return "a fraction or too large";
  if (value.is_number()) return "a number";
  if (value.is_boolean()) return "true or false";
  if (value.is_string()) return "text";
  return value.is_array() ? "an array" : "an object";
}

bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F;
  });
}

/// A key from outside, short enough to be shown_key.
std::string shown_key(std::string_view key) { return escape_path(key.substr(0, 64)); }

}  // namespace

Error invalid_parameter(std::string_view field, const std::string& reason) {
  const std::string name = shown_key(field);
  return Error(Code::kInvalidRequest, "parameter \"" + name + "\" " + reason,
               {{"field", name}, {"reason", reason}});
}

Parameters::Parameters(const nlohmann::json& object)
    : object_(object.is_null() ? no_parameters() : object) {
  if (!object_.is_object()) {
    throw invalid_parameter("parameters", "must be an object, not " + type_of(object_));
  }
}

const nlohmann::json* Parameters::find(std::string_view key) {
  known_.emplace(key);
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

bool Parameters::flag(std::string_view key, bool fallback) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) {
    throw invalid_parameter(key, "must be true or false, not " + type_of(*value));
  }
  return value->get<bool>();
}

std::optional<std::uint64_t> Parameters::integer(std::string_view key, std::uint64_t least,
                                                 std::uint64_t most) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const std::string range = std::to_string(least) + " to " + std::to_string(most);
  if (!value->is_number_integer()) {
    throw invalid_parameter(key,
                            "must be a whole number from " + range + ", not " + type_of(*value));
  }
  const bool negative = !value->is_number_unsigned() && value->get<std::int64_t>() < 0;
  if (negative || value->get<std::uint64_t>() < least || value->get<std::uint64_t>() > most) {
    throw invalid_parameter(key, "must be from " + range + ", not " + value->dump());
  }
  return value->get<std::uint64_t>();
}

std::optional<std::string> Parameters::text(std::string_view key, std::size_t most_bytes) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) throw invalid_parameter(key, "must be text, not " + type_of(*value));
  const auto& text = value->get_ref<const std::string&>();
  if (text.empty()) throw invalid_parameter(key, "must not be empty");
  if (text.size() > most_bytes) {
    throw invalid_parameter(key, "is longer than " + std::to_string(most_bytes) + " bytes");
  }
  if (has_control_characters(text)) throw invalid_parameter(key, "contains control characters");
  return text;
}

std::optional<std::size_t> Parameters::choice(std::string_view key,
                                              std::initializer_list<std::string_view> words) {
  const std::optional<std::string> word = text(key, 64);
  if (!word) return std::nullopt;
  const auto found = std::find(words.begin(), words.end(), *word);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  std::string list;
  for (const std::string_view each : words) {
    list += (list.empty() ? "" : ", ") + std::string(each);
  }
  throw invalid_parameter(key, "must be one of " + list + ", not \"" + shown_key(*word) + "\"");
}

std::string Parameters::app(std::string_view key) {
  const std::string name = text(key, 64).value_or("");
  if (name.starts_with('.') || name.find('/') != std::string::npos) {
    throw invalid_parameter(key, "is not the name of an application");
  }
  return name;
}

void Parameters::finish() const {
  for (const auto& item : object_.items()) {
    if (!known_.contains(item.key())) throw invalid_parameter(item.key(), "is not known here");
  }
}

}  // namespace mcpu
