#include "client/render.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include "client/json_fields.hpp"
#include "client/unicode.hpp"
#include "proto/error.hpp"
#include "proto/message_catalogue.hpp"

namespace mcpu {

namespace {

std::string_view tier_colour(Tier tier) {
  switch (tier) {
    case Tier::kDebug:
      return "2";
    case Tier::kInfo:
      return "36";
    case Tier::kSuccess:
      return "32";
    case Tier::kWarning:
      return "33";
    case Tier::kError:
      return "1;31";
  }
  return "";
}

std::string bar(std::uint64_t done, std::uint64_t total) {
  constexpr std::uint64_t kCells = 24;
  const std::uint64_t full = total == 0 ? 0 : std::min(done, total) * kCells / total;
  return "[" + std::string(full, '#') + std::string(kCells - full, '.') + "]";
}

/// The widest cell of each column below the heading; nothing for a column without any content.
std::vector<std::size_t> column_widths(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(rows.front().size(), 0);
  for (std::size_t r = 1; r < rows.size(); ++r) {
    for (std::size_t c = 0; c < widths.size() && c < rows[r].size(); ++c) {
      widths[c] = std::max(widths[c], columns(rows[r][c]));
    }
  }
  for (std::size_t c = 0; c < widths.size(); ++c) {
    if (widths[c] > 0) widths[c] = std::max(widths[c], columns(rows.front()[c]));
  }
  return widths;
}

std::string table_row(const std::vector<std::string>& cells,
                      const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t c = 0; c < widths.size() && c < cells.size(); ++c) {
    if (widths[c] == 0) continue;
    line += cells[c] + std::string(widths[c] + 2 - columns(cells[c]), ' ');
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode(text, at);
    std::array<char, 16> escape{};
    if (point.value == '\t') {
      result += "    ";
    } else if (point.length == 0) {
      result += "\xEF\xBF\xBD";
    } else if (is_control(point.value)) {
      std::snprintf(escape.data(), escape.size(), point.value < 0x100 ? "\\x%02x" : "\\u{%x}",
                    static_cast<unsigned>(point.value));
      result += escape.data();
    } else {
      result += text.substr(at, point.length);
    }
    at += std::max<std::size_t>(point.length, 1);
  }
  return result;
}

std::size_t columns(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode(text, at);
    width += point.length == 0 ? 1 : width_of(point.value);
    at += std::max<std::size_t>(point.length, 1);
  }
  return width;
}

std::string shortened(std::string_view text, std::size_t width) {
  if (columns(text) <= width) return std::string(text);
  std::size_t used = 0, at = 0;
  while (at < text.size()) {
    const CodePoint point = decode(text, at);
    const std::size_t next = point.length == 0 ? 1 : width_of(point.value);
    if (used + next + 1 > width) break;
    used += next;
    at += std::max<std::size_t>(point.length, 1);
  }
  return std::string(text.substr(0, at)) + (width > 0 ? "…" : "");
}

std::string counted(long long count, const char* unit) {
  return std::to_string(count) + " " + unit + (count == 1 ? "" : "s");
}

std::string local_time(TimePoint time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  localtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts);
  return text.data();
}

std::string local_time(std::string_view protocol_time) {
  try {
    return local_time(parse_time(protocol_time));
  } catch (const Error&) {
    return printable(protocol_time);
  }
}

std::string relative_time(TimePoint time, TimePoint now) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - time).count();
  const auto size = seconds < 0 ? -seconds : seconds;
  if (size < 10) return "just now";
  const std::string amount = size < 120             ? counted(size, "second")
                             : size < 2 * 3600      ? counted(size / 60, "minute")
                             : size < 2 * 24 * 3600 ? counted(size / 3600, "hour")
                                                    : counted(size / (24 * 3600), "day");
  return seconds < 0 ? "in " + amount : amount + " ago";
}

std::string Paint::operator()(std::string_view code, std::string_view text) const {
  if (!on_ || text.empty()) return std::string(text);
  return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

std::string Paint::tier(Tier tier) const { return (*this)(tier_colour(tier), tier_name(tier)); }

namespace {

/// Whether an event has every field that its template wants: older ones may lack some.
bool has_fields_for(std::string_view pattern, const nlohmann::json& fields) {
  for (std::size_t open = pattern.find('{'); open != pattern.npos;
       open = pattern.find('{', open + 1)) {
    const std::size_t close = pattern.find_first_of(":}", open);
    if (close == pattern.npos) return true;
    if (!fields.contains(std::string(pattern.substr(open + 1, close - open - 1)))) return false;
  }
  return true;
}

}  // namespace

std::string event_message(const Event& event) {
  const auto pattern = message_template(event.id);
  // Somebody who may not see the details gets no fields: the text says so.
  const bool told = event.fields.empty() && !event.text.empty();
  const bool rendered = pattern && !told && has_fields_for(*pattern, event.fields);
  return rendered ? render_message(event.id, event.fields) : event.text;
}

std::string event_line(const Event& event, const Paint& paint) {
  std::string line = "[" + local_time(event.time) + "] [" + paint.tier(event.tier) + "] ";
  const std::string message = event_message(event);
  for (std::size_t begin = 0;;) {
    const std::size_t end = message.find('\n', begin);
    line += printable(std::string_view(message).substr(begin, end - begin));
    if (end == message.npos || end + 1 == message.size()) return line;
    begin = end + 1;
    line += "\n    ";
  }
}

bool is_progress(const Event& event) {
  return event.id == "stage.progress" || event.id == "source.fetching";
}

std::string progress_line(const Event& event, std::size_t width) {
  const std::uint64_t done = number_of(event.fields, "done"),
                      total = number_of(event.fields, "total");
  const std::uint64_t bytes = number_of(event.fields, "bytes");
  const bool fetching = event.id == "source.fetching";
  std::string line = bar(done, total);
  if (total > 0) line += " " + std::to_string(std::min(done, total) * 100 / total) + " %";
  line += "  " + std::to_string(done) + " of " + std::to_string(total) +
          (fetching ? " objects fetched" : " files staged");
  if (bytes > 0) line += ", " + format_bytes(bytes);
  return shortened(line, width);
}

std::string table(const std::vector<std::vector<std::string>>& rows, const Paint& paint) {
  std::vector<std::vector<std::string>> cells = rows;
  for (auto& row : cells) {
    for (std::string& cell : row) cell = printable(cell);
  }
  const std::vector<std::size_t> widths = column_widths(cells);
  std::string text = paint("1", table_row(cells.front(), widths)) + "\n";
  for (std::size_t r = 1; r < cells.size(); ++r) text += table_row(cells[r], widths) + "\n";
  return text;
}

}  // namespace mcpu
