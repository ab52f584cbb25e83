#include "daemon/diagnostics.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <mutex>

namespace mcpu {
namespace {

constexpr std::size_t kFileBytes = 1 << 20;
constexpr std::size_t kFiles = 2;
const char* const kSpeltOut = "%Y-%m-%dT%H:%M:%S.%e%z mcp-upgraded[%P] %l: %v";

/// "<4>": how journald is told a line's priority.
class PriorityFlag : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm& /*time*/,
              spdlog::memory_buf_t& line) override {
    line.push_back('<');
    line.push_back(priority(message.level));
    line.push_back('>');
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<PriorityFlag>();
  }

 private:
  static char priority(spdlog::level::level_enum level) {
    if (level >= spdlog::level::critical) return '2';
    if (level == spdlog::level::err) return '3';
    if (level == spdlog::level::warn) return '4';
    return level == spdlog::level::info ? '6' : '7';
  }
};

/// A rotated file that comes into being with the first message: a daemon that only answers
/// questions leaves the state directory as it is.
class LateFileSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit LateFileSink(std::string path) : path_(std::move(path)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (!file_) {
      struct stat found {};
      // A FIFO would stop the daemon, a link may lead to somebody's file.
      if (lstat(path_.c_str(), &found) == 0 && !S_ISREG(found.st_mode)) return;
      file_ = std::make_unique<spdlog::sinks::rotating_file_sink_st>(path_, kFileBytes, kFiles);
      file_->set_pattern(kSpeltOut);
    }
    file_->log(message);
    file_->flush();
  }
  void flush_() override {
    if (file_) file_->flush();
  }

 private:
  std::string path_;
  std::unique_ptr<spdlog::sinks::rotating_file_sink_st> file_;
};

spdlog::sink_ptr standard_error() {
  auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  if (is_journal(STDERR_FILENO, std::getenv("JOURNAL_STREAM")))
    formatter->add_flag<PriorityFlag>('*').set_pattern("%*%v");
  else
    formatter->set_pattern(kSpeltOut);
  sink->set_formatter(std::move(formatter));
  return sink;
}

}  // namespace

void set_up_diagnostics(const std::string& file, bool verbose) {
  const spdlog::sink_ptr sink =
      file.empty() ? standard_error() : std::make_shared<LateFileSink>(file);
  auto logger = std::make_shared<spdlog::logger>("mcp-upgraded", sink);
  const auto usual = file.empty() ? spdlog::level::info : spdlog::level::warn;
  logger->set_level(verbose ? spdlog::level::debug : usual);
  // A log that cannot be written must not end the daemon; there is nowhere to say so.
  logger->set_error_handler([](const std::string&) {});
  spdlog::set_default_logger(std::move(logger));
}

bool is_journal(int descriptor, const char* journal_stream) {
  struct stat status = {};
  if (!journal_stream || fstat(descriptor, &status) != 0) return false;
  return journal_stream == std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
}

}  // namespace mcpu
