#include "daemon/setting_rules.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "proto/url.hpp"

namespace mcpu {
namespace {

constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::string_view kDigits = "0123456789";
constexpr std::size_t kMaxPathBytes = 4095;

bool only(std::string_view text, std::string_view more) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return kLetters.find(c) != std::string_view::npos ||
           kDigits.find(c) != std::string_view::npos || more.find(c) != std::string_view::npos;
  });
}

bool has_control_character(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
}

/// What is wrong with the components of a path without its leading '/'.
std::string components_rule(std::string_view path) {
  if (path.empty()) return "must not be empty";
  if (path.size() > kMaxPathBytes) return "is longer than a path can be";
  if (has_control_character(path)) return "must not contain control characters";
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty()) return "must not contain an empty component (\"//\" or a \"/\" at the end)";
    if (part == "." || part == "..") return "must not contain \".\" or \"..\" as a component";
    if (slash == std::string_view::npos) return {};
    path.remove_prefix(slash + 1);
  }
}

}  // namespace

std::string plain_name_rule(const std::string& text) {
  constexpr std::size_t kMaxNameBytes = 64;
  if (text.empty()) return "must not be empty";
  if (text.size() > kMaxNameBytes) return "must not be longer than 64 bytes";
  if (text[0] == '.' || text[0] == '-') return "must not start with \".\" or \"-\"";
  if (!only(text, "._-")) return "may consist of letters, digits, \".\", \"_\" and \"-\" only";
  return {};
}

std::string account_name_rule(const std::string& text) {
  if (text.empty()) return "must not be empty";
  if (text[0] == '-' || !only(text, "._-@\\$")) return "is not a user or group name";
  return {};
}

std::string absolute_path_rule(const std::string& text) {
  if (text.empty() || text[0] != '/') return "must be an absolute path (or start with \"~/\")";
  return components_rule(std::string_view(text).substr(1));
}

std::string relative_path_rule(const std::string& text) {
  if (!text.empty() && text[0] == '/') return "must be a relative path";
  return components_rule(text);
}

std::string source_rule(const std::string& text) {
  if (has_control_character(text)) return "must not contain control characters";
  if (!text.empty() && text[0] == '/') return {};
  const std::size_t scheme = text.find("://");
  if (scheme != std::string::npos) {
    static constexpr std::array<std::string_view, 4> kSchemes{"file", "http", "https", "ssh"};
    const std::string_view given = std::string_view(text).substr(0, scheme);
    if (std::find(kSchemes.begin(), kSchemes.end(), given) == kSchemes.end())
      return std::string("has a scheme other than ") + kSourceSchemes;
    return text.size() == scheme + 3 ? "is an incomplete URL" : "";
  }
  const std::size_t at = text.find('@');
  const std::size_t colon = text.find(':');
  if (at != std::string::npos && at > 0 && colon != std::string::npos && colon > at + 1 &&
      text.find('/') > colon && colon + 1 < text.size())
    return {};
  return "must be an absolute path or a URL";
}

std::string not_empty_rule(const std::string& text) {
  return text.empty() ? "must not be empty" : "";
}

std::string json_pointer_rule(const std::string& text) {
  if (text.empty()) return {};
  if (text[0] != '/') return "must be a JSON pointer: \"/\" and a name, like \"/mcpServers\"";
  for (std::size_t at = text.find('~'); at != std::string::npos; at = text.find('~', at + 1)) {
    const char escaped = at + 1 < text.size() ? text[at + 1] : '\0';
    if (escaped != '0' && escaped != '1') return "must be a JSON pointer: \"~\" is written \"~0\"";
  }
  return {};
}

std::string variable_name_rule(const std::string& text) {
  if (text.empty() || kDigits.find(text[0]) != std::string_view::npos || !only(text, "_"))
    return "is not the name of an environment variable";
  if (text == "HOME") return "cannot be set: checks get the home of the user they run for";
  return {};
}

namespace {

/// A unit that starts or runs this daemon: restarted by a job, it ends the job's own process.
bool is_own_unit(std::string_view unit) {
  const std::string_view name = unit.substr(0, unit.rfind('.'));
  return name == "mcp-upgraded" || name == "mcp-upgraded-recovery" || name == "mcp-upgrade";
}

}  // namespace

std::string unit_name_rule(const std::string& setting) {
  constexpr std::string_view kOfUser = "user:";
  const std::string text = setting.starts_with(kOfUser) ? setting.substr(kOfUser.size()) : setting;
  static constexpr std::array<std::string_view, 5> kSuffixes{".service", ".socket", ".timer",
                                                             ".path", ".target"};
  const bool suffixed = std::any_of(kSuffixes.begin(), kSuffixes.end(), [&](auto suffix) {
    return text.size() > suffix.size() && text.ends_with(suffix);
  });
  if (!suffixed || text[0] == '-' || !only(text, ".:_-@\\"))
    return "is not the name of a systemd unit, like \"example.service\" or "
           "\"user:example.service\"";
  if (is_own_unit(text))
    return "is a unit of mcp-upgraded itself, which cannot be restarted by its own job; name the "
           "units that run the application";
  return {};
}

std::string version_rule(const std::string& text) {
  bool digit_before = false;
  for (const char c : text) {
    const bool digit = kDigits.find(c) != std::string_view::npos;
    if (!digit && (c != '.' || !digit_before)) return "must be a version, like \"3.11\"";
    digit_before = digit;
  }
  return text.empty() || digit_before ? "" : "must be a version, like \"3.11\"";
}

}  // namespace mcpu
