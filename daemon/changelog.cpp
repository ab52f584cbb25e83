#include "daemon/changelog.hpp"

#include <algorithm>
#include <optional>

#include "daemon/version.hpp"

namespace mcpu {

namespace {

std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// The level of a Markdown heading; 0 for any other line.
std::size_t heading_level(std::string_view line) {
  const std::size_t level = line.find_first_not_of('#');
  if (level == 0 || level == std::string_view::npos || level > 6) return 0;
  return line[level] == ' ' || line[level] == '\t' ? level : 0;
}

/// The first word of a heading that is a version with at least one dot: a lone number is a year or
/// a count more often than a version.
std::string version_in(std::string_view heading) {
  constexpr std::string_view kAround = " \t[](){}:,;*_`\"'";
  while (!heading.empty()) {
    const std::size_t start = heading.find_first_not_of(kAround);
    if (start == std::string_view::npos) break;
    heading.remove_prefix(start);
    const std::size_t end = std::min(heading.find_first_of(kAround), heading.size());
    const std::string_view word = heading.substr(0, end);
    if (word.find('.') != std::string_view::npos && parse_version(word)) return without_v(word);
    heading.remove_prefix(end);
  }
  return {};
}

/// Drops empty lines at the end, so that what follows decides about the distance.
void trim_end(std::vector<std::string>& lines) {
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
}

void bound(std::vector<std::string>& lines, std::size_t max_lines) {
  if (lines.size() <= max_lines) return;
  const std::size_t more = lines.size() - max_lines;
  lines.resize(max_lines);
  lines.push_back("... and " + std::to_string(more) + (more == 1 ? " more line" : " more lines"));
}

}  // namespace

std::string first_version(std::string_view changelog) {
  while (!changelog.empty()) {
    const std::string_view line = take_line(changelog);
    if (heading_level(line) == 0) continue;
    std::string version = version_in(line);
    if (!version.empty()) return version;
  }
  return {};
}

std::vector<std::string> changes_between(std::string_view changelog, std::string_view from,
                                         std::string_view to, std::size_t max_lines) {
  const auto oldest = parse_version(from), newest = parse_version(to);
  if (!oldest || !newest) return {};
  std::vector<std::string> lines;
  std::size_t section_level = 0;  // of the first heading with a version; deeper ones are content
  bool wanted = false;
  while (!changelog.empty()) {
    const std::string_view line = take_line(changelog);
    const std::size_t level = heading_level(line);
    const std::string text = level == 0 ? "" : version_in(line);
    if (section_level == 0 && !text.empty()) section_level = level;
    if (level != 0 && level <= section_level) {
      const auto version = parse_version(text);
      wanted = version && *version > *oldest && *version <= *newest;
    }
    if (wanted) lines.emplace_back(line);
  }
  trim_end(lines);
  bound(lines, max_lines);
  return lines;
}

}  // namespace mcpu
