#include "client/instance_choice.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace mcpu {

namespace {

bool exists(const std::string& path) {
  std::error_code unreadable;
  return std::filesystem::exists(path, unreadable) || unreadable;
}

bool system_instance_present() {
  const Instance system = system_instance({});
  return exists(system.socket) || exists(system.layout.state);
}

std::string quoted(const std::string& word) {
  const auto plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("/._-+").find(c) != std::string_view::npos;
  };
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return word;
  std::string result = "'";
  for (const char c : word) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

}  // namespace

std::vector<std::string> instance_words(const InstanceOptions& options) {
  std::vector<std::string> words;
  if (options.user) words.push_back("--user");
  if (options.system) words.push_back("--system");
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) words.insert(words.end(), {name, value});
  };
  add("--config", options.config_file);
  add("--state-dir", options.state_directory);
  add("--socket", options.socket);
  return words;
}

std::string instance_hint(const InstanceOptions& options) {
  std::string text;
  for (const std::string& word : instance_words(options)) text += " " + quoted(word);
  return text;
}

InstanceChoice choose_instance(const InstanceOptions& options) {
  InstanceChoice choice;
  const bool placed = !options.state_directory.empty() || !options.socket.empty();
  choice.mode_named = options.user || options.system;
  choice.named = choice.mode_named || placed;
  const bool system = options.system || (!choice.named && system_instance_present());
  choice.instance = system ? system_instance(options) : user_instance(options);
  choice.options = options;
  if (placed && !system) choice.options.user = true;
  const auto absolute = [](std::string& path, const std::string& resolved) {
    if (!path.empty()) path = resolved;
  };
  absolute(choice.options.config_file, choice.instance.config_file);
  absolute(choice.options.state_directory, choice.instance.layout.state);
  absolute(choice.options.socket, choice.instance.socket);
  return choice;
}

}  // namespace mcpu
