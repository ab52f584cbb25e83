#pragma once

#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "client/arguments.hpp"
#include "client/render.hpp"

namespace mcpu {

/// Standard output and standard error of this program: lines, and on a terminal one transient line
/// below them that is redrawn in place. For one thread. Output that nobody reads any more is
/// dropped without a word; what could not be written for another reason is said at the end.
class Screen {
 public:
  explicit Screen(ColorChoice color = ColorChoice::kAuto);
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;
  ~Screen();

  void use_color(ColorChoice color);
  /// The daemon names commands as 'mcpctl upgrade' and cannot know how it is reached: from now on
  /// they are shown with these options (instance_hint()), so that they can be pasted into a shell.
  void add_to_commands(std::string options) { options_ = std::move(options); }

  const Paint& paint() const { return paint_; }
  const Paint& error_paint() const { return error_paint_; }
  /// Whether transient lines are shown at all: a person sits there.
  bool live() const { return live_; }
  std::size_t width() const;

  /// Printable text that may hold newlines; one is added if the last is missing.
  void print(std::string_view text);
  /// Replaces the transient line.
  void transient(std::string_view text);
  void clear_transient();
  /// One message for a person on standard error.
  void note(std::string_view text);
  /// Everything is handed over. Throws Error{kIo} if a disk or device took less than was written.
  void finish();

 private:
  std::string with_options(std::string_view text) const;
  void write_out(std::string_view text);

  std::string options_;
  bool live_;
  Paint paint_;
  Paint error_paint_;
  bool transient_shown_ = false;
  int write_error_ = 0;
};

/// Opens /dev/null in place of standard descriptors that are closed, so that no file or socket of
/// ours can ever take their place.
void open_standard_descriptors();

}  // namespace mcpu
