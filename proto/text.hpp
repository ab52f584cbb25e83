#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace mcpu {

/// Times that are stored or sent: microseconds since the epoch, UTC.
using TimePoint = std::chrono::time_point<std::chrono::system_clock, std::chrono::microseconds>;

TimePoint now();

/// RFC 3339 with microseconds, UTC: "2026-01-31T09:08:07.000123Z".
std::string format_time(TimePoint time);
/// Reverse of format_time. Throws Error{kInvalidRequest} for anything else.
TimePoint parse_time(std::string_view text);

/// Foreign bytes as text: every byte that is not part of valid UTF-8 becomes U+FFFD.
std::string to_utf8(std::string_view bytes);

/// Foreign bytes as a path that can be shown and turned back: bytes that are not valid UTF-8,
/// control characters and the backslash become `\xNN`.
std::string escape_path(std::string_view bytes);
/// Reverse of escape_path. Throws Error{kInvalidRequest} for a malformed escape.
std::string unescape_path(std::string_view text);

/// "1.2 MB": decimal units, one fraction digit from kB on.
std::string format_bytes(std::uint64_t bytes);

}  // namespace mcpu
