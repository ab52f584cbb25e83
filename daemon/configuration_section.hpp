#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/configuration_reader.hpp"

namespace mcpu {

/// Says what is wrong with a text ("must be an absolute path"); empty if nothing is.
using TextRule = std::function<std::string(const std::string&)>;

/// One object of the configuration file, read member by member. A member that is absent leaves its
/// target as it is; one that nobody asked for is an error in finish(). Everything wrong is
/// Error{kConfig} naming file, line and key. Keeps references: the file's name and the setting must
/// outlive it.
class Section {
 public:
  Section(const Setting& object, const std::string& file);

  const Setting& setting() const { return object_; }
  /// Null if absent. Being asked for makes a name a known one.
  const Setting* find(std::string_view name);
  /// The member, which must be there.
  const Setting& require(std::string_view name);

  void text(std::string_view name, std::string& target, const TextRule& rule = {});
  void boolean(std::string_view name, bool& target);
  /// A whole number within bounds, both included.
  std::int64_t whole(std::string_view name, std::int64_t current, std::int64_t least,
                     std::int64_t most);
  void seconds(std::string_view name, std::chrono::seconds& target, std::int64_t least,
               std::int64_t most);
  /// Seconds with an optional fraction; more than zero, at most an hour.
  void deadline(std::string_view name, std::chrono::milliseconds& target);
  void texts(std::string_view name, std::vector<std::string>& target, const TextRule& rule = {});
  /// As texts(), but no text twice.
  void distinct_texts(std::string_view name, std::vector<std::string>& target,
                      const TextRule& rule = {});

  /// Calls `read` for each element of a list of objects, or each member of an object of objects.
  void each(std::string_view name, Setting::Type type,
            const std::function<void(const Setting&)>& read);

  /// Refuses members that nobody asked for, with the nearest known name if one is near.
  void finish() const;

  [[noreturn]] void refuse(const Setting& setting, const std::string& reason) const;
  /// Refuses a setting that is not of this type.
  void expect(const Setting& setting, Setting::Type type) const;

 private:
  void check_text(const Setting& setting, const TextRule& rule) const;

  const Setting& object_;
  const std::string& file_;
  std::vector<std::string> known_;
};

/// The candidate most like `name` (at most two letters changed, added, dropped or swapped); empty
/// if none is near.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace mcpu
