#include "daemon/configuration_section.hpp"

#include <algorithm>
#include <cmath>

namespace mcpu {
namespace {

constexpr double kLongestDeadlineSeconds = 3600;

/// Edit distance with swaps of neighbours (optimal string alignment).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> table(a.size() + 1,
                                              std::vector<std::size_t>(b.size() + 1, 0));
  for (std::size_t i = 0; i <= a.size(); ++i) table[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) table[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = table[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      table[i][j] = std::min({table[i - 1][j] + 1, table[i][j - 1] + 1, changed});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        table[i][j] = std::min(table[i][j], table[i - 2][j - 2] + 1);
    }
  }
  return table[a.size()][b.size()];
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  constexpr std::size_t kLongestName = 64;  // beyond that nobody mistyped a name of ours
  constexpr std::size_t kNear = 2;
  if (name.size() > kLongestName) return {};
  std::string best;
  std::size_t best_distance = std::min(kNear, name.size() / 2) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t here = distance(name, candidate);
    if (here >= best_distance) continue;
    best = candidate;
    best_distance = here;
  }
  return best;
}

Section::Section(const Setting& object, const std::string& file) : object_(object), file_(file) {
  expect(object, Setting::Type::kObject);
}

void Section::refuse(const Setting& setting, const std::string& reason) const {
  refuse_setting(file_, setting.line, setting.key, reason);
}

void Section::expect(const Setting& setting, Setting::Type type) const {
  if (setting.type == type) return;
  refuse(setting, "must be " + std::string(type_name(type)) + ", not " +
                      std::string(type_name(setting.type)));
}

const Setting* Section::find(std::string_view name) {
  if (std::find(known_.begin(), known_.end(), name) == known_.end()) known_.emplace_back(name);
  const auto found = std::find_if(object_.elements.begin(), object_.elements.end(),
                                  [&](const Setting& member) { return member.name == name; });
  return found == object_.elements.end() ? nullptr : &*found;
}

const Setting& Section::require(std::string_view name) {
  const Setting* found = find(name);
  if (!found) refuse(object_, "must have \"" + std::string(name) + "\"");
  return *found;
}

void Section::check_text(const Setting& setting, const TextRule& rule) const {
  expect(setting, Setting::Type::kString);
  const std::string reason = rule ? rule(setting.text) : std::string();
  if (!reason.empty()) refuse(setting, reason);
}

void Section::text(std::string_view name, std::string& target, const TextRule& rule) {
  const Setting* setting = find(name);
  if (!setting) return;
  check_text(*setting, rule);
  target = setting->text;
}

void Section::boolean(std::string_view name, bool& target) {
  const Setting* setting = find(name);
  if (!setting) return;
  expect(*setting, Setting::Type::kBoolean);
  target = setting->boolean;
}

std::int64_t Section::whole(std::string_view name, std::int64_t current, std::int64_t least,
                            std::int64_t most) {
  const Setting* setting = find(name);
  if (!setting) return current;
  if (setting->type == Setting::Type::kNumber && std::abs(setting->number) >= 9e18)
    refuse(*setting, "must be at most " + std::to_string(most));
  if (setting->type == Setting::Type::kNumber)
    refuse(*setting, "must be a whole number, not a fraction");
  expect(*setting, Setting::Type::kInteger);
  if (setting->integer < least) refuse(*setting, "must be at least " + std::to_string(least));
  if (setting->integer > most) refuse(*setting, "must be at most " + std::to_string(most));
  return setting->integer;
}

void Section::seconds(std::string_view name, std::chrono::seconds& target, std::int64_t least,
                      std::int64_t most) {
  target = std::chrono::seconds(whole(name, target.count(), least, most));
}

void Section::deadline(std::string_view name, std::chrono::milliseconds& target) {
  const Setting* setting = find(name);
  if (!setting) return;
  if (setting->type != Setting::Type::kInteger) expect(*setting, Setting::Type::kNumber);
  const double milliseconds = std::round(setting->number * 1000);
  if (milliseconds < 1) refuse(*setting, "must be more than 0");
  if (setting->number > kLongestDeadlineSeconds) refuse(*setting, "must be at most 3600");
  target = std::chrono::milliseconds(static_cast<std::int64_t>(milliseconds));
}

void Section::texts(std::string_view name, std::vector<std::string>& target, const TextRule& rule) {
  const Setting* setting = find(name);
  if (!setting) return;
  expect(*setting, Setting::Type::kArray);
  target.clear();
  for (const Setting& element : setting->elements) {
    check_text(element, rule);
    target.push_back(element.text);
  }
}

void Section::distinct_texts(std::string_view name, std::vector<std::string>& target,
                             const TextRule& rule) {
  texts(name, target, rule);
  const Setting* setting = find(name);
  if (!setting) return;
  for (std::size_t i = 1; i < target.size(); ++i) {
    const auto here = target.begin() + static_cast<std::ptrdiff_t>(i);
    if (std::find(target.begin(), here, target[i]) != here)
      refuse(setting->elements[i], "\"" + target[i] + "\" is given twice; remove one of the two");
  }
}

void Section::each(std::string_view name, Setting::Type type,
                   const std::function<void(const Setting&)>& read) {
  const Setting* setting = find(name);
  if (!setting) return;
  expect(*setting, type);
  for (const Setting& element : setting->elements) read(element);
}

void Section::finish() const {
  for (const Setting& member : object_.elements) {
    if (std::find(known_.begin(), known_.end(), member.name) != known_.end()) continue;
    const std::string near = nearest_name(member.name, known_);
    refuse(member, near.empty() ? "is not a known key; known here: " + joined(known_)
                                : "is not a known key; did you mean \"" + near + "\"?");
  }
}

}  // namespace mcpu
