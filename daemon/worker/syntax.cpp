#include "daemon/worker/syntax.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

namespace mcpu {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxReasonBytes = 300;

std::string at_line(std::size_t line, std::string reason) {
  if (reason.size() > kMaxReasonBytes) reason = reason.substr(0, kMaxReasonBytes) + "...";
  return "line " + std::to_string(line) + ": " + reason;
}

/// Takes every event of the parser and keeps only where it stopped.
class Judge final : public nlohmann::json_sax<json> {
 public:
  explicit Judge(std::string_view text) : text_(text) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return true; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }

  bool parse_error(std::size_t position, const std::string& last_token,
                   const json::exception&) override {
    // The position is that of the byte after the offending one, counted from 1.
    const auto end = std::min(position == 0 ? 0 : position - 1, text_.size());
    const auto line = std::count(text_.begin(), text_.begin() + static_cast<long>(end), '\n') + 1;
    const bool at_end = position > text_.size() || last_token.empty();
    problem_ = at_line(static_cast<std::size_t>(line),
                       at_end ? "it ends in the middle of a value"
                              : "this is not JSON: unexpected " + printable(last_token));
    return false;
  }

  std::optional<std::string> problem() const { return problem_; }

 private:
  static std::string printable(const std::string& token) {
    const auto start =
        token.find_last_of('\n') == std::string::npos ? 0 : token.find_last_of('\n') + 1;
    return "\"" + token.substr(start) + "\"";
  }

  std::string_view text_;
  std::optional<std::string> problem_;
};

std::optional<std::string> json_problem(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return at_line(1, "the file is empty");
  }
  Judge judge(text);
  json::sax_parse(text.begin(), text.end(), &judge, json::input_format_t::json, /*strict=*/true,
                  /*ignore_comments=*/true);
  return judge.problem();
}

std::optional<std::string> toml_problem(std::string_view text) {
  try {
    const auto document = toml::parse(text);
    return std::nullopt;
  } catch (const toml::parse_error& error) {
    return at_line(error.source().begin.line, std::string(error.description()));
  }
}

}  // namespace

std::optional<std::string> find_syntax_problem(std::string_view text, std::string_view format) {
  if (format == "json") return json_problem(text);
  if (format == "toml") return toml_problem(text);
  return std::nullopt;
}

}  // namespace mcpu
