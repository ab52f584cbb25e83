#include "daemon/configuration_reader.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {
namespace {

constexpr std::size_t kMaxDepth = 16;

/// How far the parser has read. A line break belongs to the line it ends, so that a number, which
/// the parser only recognizes as complete by the character behind it, is on its own line.
struct ReadPosition {
  unsigned line = 1;
  bool after_break = false;
  void pass(char character) {
    if (after_break) ++line;
    after_break = character == '\n';
  }
};

/// Input iterator over the text that tells a ReadPosition (not owned) what was read.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, ReadPosition* position) : at_(at), position_(position) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    position_->pass(*at_++);
    return *this;
  }
  CountingIterator operator++(int) {
    const CountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }

 private:
  const char* at_;
  ReadPosition* position_;
};

/// A member's name as a part of a JSON pointer.
std::string pointer_part(const std::string& name) {
  std::string part;
  for (const char character : name) {
    if (character == '~')
      part += "~0";
    else if (character == '/')
      part += "~1";
    else
      part += character;
  }
  return part;
}

/// Builds the tree of settings from the parser's events. Members of this class that the parser
/// calls have the names it prescribes; returning false would end it without an explanation, so they
/// throw.
class SettingBuilder {
 public:
  SettingBuilder(const std::string& file, const ReadPosition& position)
      : file_(file), position_(position) {}

  bool null() { return add(Setting::Type::kNull), true; }
  bool boolean(bool value) { return add(Setting::Type::kBoolean).boolean = value, true; }
  bool number_integer(std::int64_t value) { return add_integer(value); }
  bool number_unsigned(std::uint64_t value) {
    constexpr std::uint64_t kMax = std::numeric_limits<std::int64_t>::max();
    if (value > kMax) return number_float(static_cast<double>(value), {});
    return add_integer(static_cast<std::int64_t>(value));
  }
  bool number_float(double value, const std::string& /*as_written*/) {
    return add(Setting::Type::kNumber).number = value, true;
  }
  bool string(std::string& value) {
    Setting& setting = add(Setting::Type::kString);
    if (value.find('\0') != std::string::npos)
      refuse_setting(file_, setting.line, setting.key, "must not contain a NUL character");
    setting.text = std::move(value);
    return true;
  }
  bool binary(std::vector<std::uint8_t>& /*value*/) { return false; }
  bool start_object(std::size_t /*size*/) { return open(Setting::Type::kObject); }
  bool start_array(std::size_t /*size*/) { return open(Setting::Type::kArray); }
  bool end_object() { return open_.pop_back(), true; }
  bool end_array() { return open_.pop_back(), true; }

  bool key(std::string& name) {
    const Setting& object = *open_.back();
    const auto first = std::find_if(object.elements.begin(), object.elements.end(),
                                    [&](const Setting& member) { return member.name == name; });
    member_ = std::move(name);
    member_line_ = position_.line;
    if (first != object.elements.end())
      refuse_setting(file_, member_line_, first->key,
                     "is given twice, first in line " + std::to_string(first->line) +
                         "; remove one of the two");
    return true;
  }

  bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                   const nlohmann::json::exception& error) {
    const std::string text = error.what();
    const std::size_t reason = text.find("syntax error");
    refuse_setting(file_, position_.line, open_.empty() ? "" : open_.back()->key,
                   escape_path(reason == std::string::npos ? text : text.substr(reason)));
  }

  Setting take() { return std::move(root_); }

 private:
  Setting& add(Setting::Type type) {
    Setting& setting = open_.empty() ? root_ : open_.back()->elements.emplace_back();
    setting.type = type;
    setting.line = position_.line;
    if (!open_.empty()) place(setting, *open_.back());
    return setting;
  }

  void place(Setting& setting, const Setting& parent) {
    if (parent.type == Setting::Type::kArray) {
      setting.key = parent.key + "/" + std::to_string(parent.elements.size() - 1);
      return;
    }
    setting.name = std::exchange(member_, {});
    setting.key = parent.key + "/" + pointer_part(setting.name);
    setting.line = member_line_;
  }

  bool add_integer(std::int64_t value) {
    Setting& setting = add(Setting::Type::kInteger);
    setting.integer = value;
    setting.number = static_cast<double>(value);
    return true;
  }

  bool open(Setting::Type type) {
    Setting& setting = add(type);
    if (open_.size() == kMaxDepth)
      refuse_setting(file_, setting.line, setting.key, "is nested too deeply");
    // Stays valid: a parent gets its next element only after this one was closed.
    open_.push_back(&setting);
    return true;
  }

  const std::string& file_;
  const ReadPosition& position_;
  Setting root_;
  std::vector<Setting*> open_;
  std::string member_;
  unsigned member_line_ = 1;
};

}  // namespace

std::string_view type_name(Setting::Type type) {
  switch (type) {
    case Setting::Type::kNull:
      return "null";
    case Setting::Type::kBoolean:
      return "true or false";
    case Setting::Type::kInteger:
      return "a whole number";
    case Setting::Type::kNumber:
      return "a number";
    case Setting::Type::kString:
      return "a string";
    case Setting::Type::kArray:
      return "a list";
    case Setting::Type::kObject:
      return "an object";
  }
  return "unknown";
}

void refuse_setting(const std::string& file, unsigned line, const std::string& key,
                    const std::string& reason) {
  // Names come from the file: a line break in one must not make a second line of the message.
  std::string text = escape_path(file) + ":" + std::to_string(line) + ": ";
  if (!key.empty()) text += escape_path(key) + ": ";
  throw Error(Code::kConfig, text + reason,
              {{"file", file}, {"line", line}, {"key", key}, {"reason", reason}});
}

Setting read_settings(std::string_view text, const std::string& file) {
  if (text.size() > kMaxConfigurationBytes)
    refuse_setting(file, 1, "",
                   "is larger than " + std::to_string(kMaxConfigurationBytes) + " bytes");
  ReadPosition position;
  SettingBuilder builder(file, position);
  const CountingIterator begin(text.data(), &position);
  const CountingIterator end(text.data() + text.size(), &position);
  nlohmann::json::sax_parse(begin, end, &builder, nlohmann::json::input_format_t::json,
                            /*strict=*/true, /*ignore_comments=*/true);
  return builder.take();
}

}  // namespace mcpu
