#include "daemon/version.hpp"

#include <algorithm>
#include <charconv>
#include <tuple>

namespace mcpu {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_identifier_character(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

bool is_number(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, is_digit);
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  if (!is_number(text) || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

/// Whether `text` is dot-separated identifiers, without leading zeros in numbers if `strict`.
bool are_identifiers(std::string_view text, bool strict) {
  return std::ranges::all_of(split(text, '.'), [strict](std::string_view part) {
    const bool padded = strict && part.size() > 1 && part[0] == '0' && is_number(part);
    return !part.empty() && !padded && std::ranges::all_of(part, is_identifier_character);
  });
}

/// Takes "-4-gabcdef0" off the end of `text`; 0 if it is not there.
std::uint64_t take_commits_after(std::string_view& text) {
  const std::size_t hash = text.rfind("-g");
  if (hash == std::string_view::npos || text.size() - hash < 6) return 0;
  const bool hex = std::ranges::all_of(
      text.substr(hash + 2), [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); });
  const std::size_t count = hash == 0 ? std::string_view::npos : text.rfind('-', hash - 1);
  if (!hex || count == std::string_view::npos) return 0;
  const auto commits = parse_number(text.substr(count + 1, hash - count - 1));
  if (!commits || *commits == 0) return 0;
  text = text.substr(0, count);
  return *commits;
}

std::strong_ordering compare_identifiers(const std::string& a, const std::string& b) {
  const bool a_number = is_number(a), b_number = is_number(b);
  if (a_number != b_number) {
    return a_number ? std::strong_ordering::less : std::strong_ordering::greater;
  }
  if (a_number && a.size() != b.size()) return a.size() <=> b.size();
  return a <=> b;
}

std::strong_ordering compare_pre_release(const std::vector<std::string>& a,
                                         const std::vector<std::string>& b) {
  if (a.empty() || b.empty()) return a.empty() <=> b.empty();
  return std::lexicographical_compare_three_way(a.begin(), a.end(), b.begin(), b.end(),
                                                compare_identifiers);
}

}  // namespace

std::strong_ordering Version::operator<=>(const Version& other) const {
  const auto numbers =
      std::tie(major, minor, patch) <=> std::tie(other.major, other.minor, other.patch);
  if (numbers != 0) return numbers;
  const auto pre = compare_pre_release(pre_release, other.pre_release);
  return pre != 0 ? pre : commits_after <=> other.commits_after;
}

std::optional<Version> parse_version(std::string_view text) {
  if (text.size() > 1 && (text[0] == 'v' || text[0] == 'V')) text.remove_prefix(1);
  if (const std::size_t plus = text.find('+'); plus != std::string_view::npos) {
    if (!are_identifiers(text.substr(plus + 1), false)) return std::nullopt;
    text = text.substr(0, plus);
  }
  Version version;
  version.commits_after = take_commits_after(text);
  if (const std::size_t dash = text.find('-'); dash != std::string_view::npos) {
    if (!are_identifiers(text.substr(dash + 1), true)) return std::nullopt;
    for (const auto part : split(text.substr(dash + 1), '.')) {
      version.pre_release.emplace_back(part);
    }
    text = text.substr(0, dash);
  }
  const auto numbers = split(text, '.');
  if (numbers.size() > 3) return std::nullopt;
  std::uint64_t* const fields[] = {&version.major, &version.minor, &version.patch};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto number = parse_number(numbers[i]);
    if (!number) return std::nullopt;
    *fields[i] = *number;
  }
  return version;
}

std::string without_v(std::string_view text) {
  const bool marked = text.size() > 1 && (text[0] == 'v' || text[0] == 'V') && is_digit(text[1]);
  return std::string(text.substr(marked ? 1 : 0));
}

bool names_version(std::string_view text) {
  if (text.starts_with('v')) text.remove_prefix(1);
  const std::size_t suffix = std::min(text.find_first_of("-+"), text.size());
  const std::string_view numbers = text.substr(0, suffix);
  if (std::count(numbers.begin(), numbers.end(), '.') < 1) return false;
  bool digit_before = false;
  for (const char c : numbers) {
    if (!is_digit(c) && (c != '.' || !digit_before)) return false;
    digit_before = is_digit(c);
  }
  if (!digit_before) return false;
  const std::string_view rest = text.substr(suffix);
  const bool plain = std::all_of(rest.begin(), rest.end(), [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == '+';
  });
  return plain && rest.find("-g") == std::string_view::npos &&
         rest.find("..") == std::string_view::npos;
}

}  // namespace mcpu
