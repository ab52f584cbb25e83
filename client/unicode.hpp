#pragma once

#include <cstddef>
#include <string_view>

namespace mcpu {

/// One character of UTF-8 text.
struct CodePoint {
  char32_t value = 0;
  std::size_t length = 0;  ///< in bytes; 0 if the bytes are not valid UTF-8
};

/// The character that starts at `at`. REQUIRES: at < text.size().
CodePoint decode(std::string_view text, std::size_t at);

/// Control characters and those that change the direction of writing: they could make a terminal
/// show something else than what is there.
bool is_control(char32_t point);

/// Columns on a terminal: 0, 1 or 2. Our own short table rather than wcwidth, which knows nothing
/// in the C locale.
std::size_t width_of(char32_t point);

}  // namespace mcpu
