#include "daemon/old_scripts.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Its scripts, by their places in a checkout, until version 1.3.5.
constexpr std::array kScripts{"scripts/quick-upgrade.sh", "scripts/auto-upgrade.sh"};
constexpr std::array kLocks{"/tmp/mcp-upgrade.lock", "/tmp/mcp-auto-upgrade.lock"};
/// What the names of both end with.
constexpr const char* kNameEnd = "-upgrade.sh";

/// The descriptors at which bash and dash keep the script that they run.
constexpr std::array kScriptDescriptors{255, 10};

constexpr std::chrono::seconds kManagerAnswers{5};

std::string link_text(const fs::path& link) {
  std::error_code hidden;
  return fs::read_symlink(link, hidden).string();
}

/// The file that a shell runs, as the kernel names it; empty: this is no shell, or it is hidden.
std::string script_of(const fs::path& process) {
  if (!link_text(process / "exe").ends_with("sh")) return {};
  for (const int descriptor : kScriptDescriptors) {
    std::string path = link_text(process / "fd" / std::to_string(descriptor));
    // An upgrade of the checkout puts another file in its place.
    constexpr std::string_view kDeleted = " (deleted)";
    if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
    if (!path.empty()) return path;
  }
  return {};
}

bool belongs_to(const fs::path& process, const std::vector<std::uint32_t>& uids) {
  struct stat info {};
  return ::stat(process.c_str(), &info) == 0 && std::ranges::count(uids, info.st_uid) != 0;
}

/// The words of a command line as systemd shows it: those with blanks in them are quoted.
std::vector<std::string> words_of(std::string_view command) {
  std::vector<std::string> words(1);
  char quote = '\0';
  for (const char c : command) {
    if (quote != '\0' ? c == quote : c == '"' || c == '\'') {
      quote = quote == '\0' ? c : '\0';
    } else if (c == ' ' && quote == '\0') {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  return words;
}

/// "./x" and "../x" become "x".
std::string_view without_dots(std::string_view path) {
  while (path.starts_with("./") || path.starts_with("../")) path.remove_prefix(path.find('/') + 1);
  return path;
}

json ask_manager(ProcessPort& processes, const std::vector<std::uint32_t>& uids,
                 const Cancellation* cancellation) {
  const auto worker = processes.start(WorkerKind::kServices, own_identity());
  worker->link().limit(std::chrono::steady_clock::now() + kManagerAnswers, cancellation);
  worker->link().send({{"operation", "commands"}, {"containing", kNameEnd}, {"uids", uids}});
  return worker->link().receive().at("commands");
}

}  // namespace

std::string OldScript::problem() const {
  return "the old script " + escape_path(path) + " runs and would change the same files (process " +
         std::to_string(pid) + "): wait until it has ended, or end it with 'kill " +
         std::to_string(pid) + "'";
}

std::vector<OldScript> running_old_scripts(const std::string& checkout,
                                           const std::vector<std::uint32_t>& uids) {
  std::vector<OldScript> found;
  std::error_code error;
  const std::string real = fs::canonical(checkout, error).string();
  if (error) return found;
  for (fs::directory_iterator one("/proc", error), end; one != end; one.increment(error)) {
    const std::string number = one->path().filename().string();
    const char* const last = number.data() + number.size();
    OldScript run;
    if (std::from_chars(number.data(), last, run.pid).ptr != last) continue;
    if (!belongs_to(one->path(), uids)) continue;
    const std::string script = script_of(one->path());
    for (const char* const place : kScripts) {
      if (script == real + "/" + place) run.path = checkout + "/" + place;
    }
    if (!run.path.empty()) found.push_back(run);
  }
  return found;
}

std::string old_script_in(std::string_view command, const std::string& checkout) {
  const std::vector<std::string> words = words_of(command);
  if (!words.front().ends_with("sh")) return {};
  const auto word = std::find_if(words.begin() + 1, words.end(), [](const std::string& one) {
    return !one.starts_with('-') && !one.starts_with('+');
  });
  if (word == words.end() || std::find(words.begin(), word, "-c") != word) return {};
  const std::string relative = "/" + std::string(without_dots(*word));
  for (const char* const place : kScripts) {
    const std::string path = checkout + "/" + place;
    if (word->starts_with('/') ? *word == path : path.ends_with(relative)) return path;
  }
  return {};
}

std::vector<OldScript> hidden_old_scripts(ProcessPort& processes, const std::string& checkout,
                                          const std::vector<std::uint32_t>& uids,
                                          const Cancellation* cancellation) {
  std::vector<OldScript> found;
  try {
    for (const json& one : ask_manager(processes, uids, cancellation)) {
      OldScript run{one.at("pid"), old_script_in(one.at("command").get<std::string>(), checkout)};
      if (!run.path.empty()) found.push_back(run);
    }
  } catch (const json::exception&) {  // not what was asked for
  } catch (const Error& error) {
    if (error.code() == Code::kCancelled) throw;
  }
  return found;
}

std::vector<std::string> old_script_locks(FileSystem& fs) {
  std::vector<std::string> found;
  for (const char* const path : kLocks) {
    if (fs.info(path)) found.emplace_back(path);
  }
  return found;
}

}  // namespace mcpu
