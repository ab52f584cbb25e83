#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "proto/event.hpp"

namespace mcpu {

/// Foreign text as one line that is safe on a terminal: control characters (those above 0x7F and
/// those that turn the direction of writing too) become visible escapes, tabs become blanks.
std::string printable(std::string_view text);

/// How many columns printable text takes: 2 for each wide character (Chinese, Japanese, Korean,
/// emoji), 0 for combining ones.
std::size_t columns(std::string_view text);

/// At most `width` columns of printable text; what was cut shows as "…".
std::string shortened(std::string_view text, std::size_t width);

/// "2026-01-31 09:08:07" in the local time zone.
std::string local_time(TimePoint time);
/// The same for a protocol time; the text itself if it is none.
std::string local_time(std::string_view protocol_time);
/// "3 minutes ago", "in 2 hours", "just now": rounded, for people.
std::string relative_time(TimePoint time, TimePoint now);
/// "1 file", "3 files".
std::string counted(long long count, const char* unit);

/// Puts SGR colour codes around text, or nothing where colours are off.
class Paint {
 public:
  explicit Paint(bool on) : on_(on) {}
  std::string operator()(std::string_view code, std::string_view text) const;
  std::string tier(Tier tier) const;  ///< its name, coloured
  bool on() const { return on_; }

 private:
  bool on_;
};

/// An event in the reader's language, from its id and fields where the id is known, else the stored
/// English text. May hold several lines and anything a check printed: not yet printable.
std::string event_message(const Event& event);

/// "[YYYY-MM-DD HH:MM:SS] [TIER] message". Further lines of the message are indented, so that no
/// text from elsewhere can look like a line of ours. No newline at the end.
std::string event_line(const Event& event, const Paint& paint);

/// "[#####.....] 42 %  1,234 of 2,900 files  12.0 MB" for a progress event, at most `width`
/// columns.
std::string progress_line(const Event& event, std::size_t width);
/// Whether the event only moves a progress bar.
bool is_progress(const Event& event);

/// Aligns rows of cells; the first row is the heading. Cells are made printable; columns in which
/// every cell below the heading is empty are left out.
std::string table(const std::vector<std::vector<std::string>>& rows, const Paint& paint);

}  // namespace mcpu
