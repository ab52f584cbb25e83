#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "proto/error.hpp"

namespace mcpu {

/// An Error{kInvalidRequest, {field, reason}} whose text names both.
Error invalid_parameter(std::string_view field, const std::string& reason);

/// Strict, typed reading of one JSON object that somebody else wrote. Each reader names its key;
/// what was not asked for by the time of finish() is an unknown key. A key that is null counts as
/// absent, as Varlink's `?type` wants it. Every failure is Error{kInvalidRequest, {field, reason}}.
/// Refers to the object, which must outlive it; for one thread.
class Parameters {
 public:
  /// Null is read as an empty object; anything else than an object throws.
  explicit Parameters(const nlohmann::json& object);

  /// A flag; `fallback` if absent.
  bool flag(std::string_view key, bool fallback = false);
  /// A whole number within [least, most].
  std::optional<std::uint64_t> integer(std::string_view key, std::uint64_t least,
                                       std::uint64_t most);
  /// Text of 1 to `most_bytes` bytes without control characters.
  std::optional<std::string> text(std::string_view key, std::size_t most_bytes);
  /// One of the given words; returns its index.
  std::optional<std::size_t> choice(std::string_view key,
                                    std::initializer_list<std::string_view> words);
  /// The name of an application: at most 64 bytes, no slash, no leading dot. Empty if absent.
  std::string app(std::string_view key = "app");

  /// Throws for a key that nobody asked for, naming it.
  void finish() const;

 private:
  const nlohmann::json* find(std::string_view key);

  const nlohmann::json& object_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace mcpu
