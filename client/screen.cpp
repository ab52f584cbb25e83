#include "client/screen.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "proto/error.hpp"

namespace mcpu {

namespace {

constexpr std::string_view kClearLine = "\r\x1b[K";

bool is_terminal(int fd) {
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::string_view(term) == "dumb";
  return ::isatty(fd) == 1 && !dumb;
}

bool coloured(int fd, ColorChoice choice) {
  if (choice != ColorChoice::kAuto) return choice == ColorChoice::kAlways;
  const char* no_color = std::getenv("NO_COLOR");
  return is_terminal(fd) && (no_color == nullptr || no_color[0] == '\0');
}

/// Returns 0 or the errno of what went wrong.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count >= 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

void open_standard_descriptors() {
  for (int fd = ::open("/dev/null", O_RDWR); fd >= 0; fd = ::open("/dev/null", O_RDWR)) {
    if (fd <= STDERR_FILENO) continue;
    ::close(fd);
    return;
  }
}

Screen::Screen(ColorChoice color)
    : live_(is_terminal(STDOUT_FILENO)),
      paint_(coloured(STDOUT_FILENO, color)),
      error_paint_(coloured(STDERR_FILENO, color)) {}

void Screen::use_color(ColorChoice color) {
  paint_ = Paint(coloured(STDOUT_FILENO, color));
  error_paint_ = Paint(coloured(STDERR_FILENO, color));
}

std::string Screen::with_options(std::string_view text) const {
  constexpr std::string_view kCommand = "'mcpctl ";
  std::string whole(text);
  if (options_.empty()) return whole;
  for (std::size_t at = whole.find(kCommand); at != std::string::npos;
       at = whole.find(kCommand, at)) {
    at = whole.find('\'', at + kCommand.size());
    if (at == std::string::npos) break;
    whole.insert(at, options_);
    at += options_.size() + 1;
  }
  return whole;
}

Screen::~Screen() { clear_transient(); }

std::size_t Screen::width() const {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void Screen::write_out(std::string_view text) {
  if (write_error_ == 0) write_error_ = write_all(STDOUT_FILENO, text);
}

void Screen::print(std::string_view text) {
  clear_transient();
  std::string whole = with_options(text);
  if (whole.empty() || whole.back() != '\n') whole += '\n';
  write_out(whole);
}

void Screen::transient(std::string_view text) {
  if (!live_) return;
  // One column stays free: a full line would wrap, and could not be taken back.
  write_out(std::string(kClearLine) + shortened(text, width() - 1));
  transient_shown_ = true;
}

void Screen::clear_transient() {
  if (transient_shown_) write_out(kClearLine);
  transient_shown_ = false;
}

void Screen::note(std::string_view text) {
  clear_transient();
  write_all(STDERR_FILENO, with_options(text) + "\n");
}

void Screen::finish() {
  clear_transient();
  if (write_error_ == 0 || write_error_ == EPIPE) return;
  throw io_error("write to", "standard output", write_error_);
}

}  // namespace mcpu
