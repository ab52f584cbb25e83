#include "daemon/stale.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "daemon/durable.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

/// The application's own record has a line of about 100 bytes for each file; packages with far more
/// of them are something else.
constexpr std::uint64_t kMaxRecordBytes = 256 << 10;
constexpr std::uint64_t kMaxCodeBytes = 1 << 20;
constexpr std::size_t kMaxCodeFiles = 200;
constexpr std::size_t kMaxDistributions = 2000;
constexpr std::size_t kMaxFound = 50;
constexpr std::string_view kInfoEnd = ".dist-info";

/// What may stand in a command line that a person is told to run.
bool plain(const std::string& text) {
  constexpr std::string_view kMarks = "._-+!";
  return !text.empty() && text.front() != '-' && std::ranges::all_of(text, [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kMarks.find(c) != kMarks.npos;
  });
}

std::string normal(const std::string& path) {
  return std::filesystem::path(path).lexically_normal().string();
}

std::vector<std::string> list_if_readable(FileSystem& fs, const std::string& directory) {
  try {
    return fs.list(directory);
  } catch (const Error&) {
    return {};
  }
}

std::string read_if_readable(FileSystem& fs, const std::string& path, std::uint64_t max_bytes) {
  try {
    return read_file(fs, path, max_bytes);
  } catch (const Error&) {
    return "";
  }
}

std::optional<StaleLink> stale_link(FileSystem& fs, const std::string& path,
                                    const StaleCommand& command) {
  if (path == command.kept || command.target.empty()) return std::nullopt;
  try {
    const auto info = fs.info(path);
    if (!info || info->type != FileType::kLink) return std::nullopt;
    if (fs.read_link(path) != command.target) return std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
  return StaleLink{path, command.target};
}

/// The files that a distribution's RECORD names; quoted names (with commas) are none of an
/// application that matters here.
std::vector<std::string> recorded_files(const std::string& packages, const std::string& record) {
  std::vector<std::string> files;
  for (std::size_t start = 0; start < record.size();) {
    const std::size_t end = std::min(record.find('\n', start), record.size());
    const std::string line = record.substr(start, end - start);
    start = end + 1;
    const std::string name = line.substr(0, line.find(','));
    if (name.empty() || name.front() == '"') continue;
    files.push_back(normal(name.front() == '/' ? name : packages + "/" + name));
  }
  return files;
}

bool has_any(const std::string& content, const std::vector<std::string>& texts) {
  return std::ranges::any_of(
      texts, [&](const std::string& text) { return content.find(text) != std::string::npos; });
}

/// Whether the code among the files is the application's.
bool recognized(FileSystem& fs, const std::vector<std::string>& files, const std::string& packages,
                const std::string& script, const std::vector<std::string>& texts) {
  std::size_t looked_at = 0;
  for (const std::string& file : files) {
    // What a record names elsewhere is none of ours to read.
    const bool code = file.starts_with(packages + "/") && file.ends_with(".py");
    if (!code && file != script) continue;
    if (++looked_at > kMaxCodeFiles) return false;
    if (has_any(read_if_readable(fs, file, kMaxCodeBytes), texts)) return true;
  }
  return false;
}

std::optional<PipCopy> pip_copy(FileSystem& fs, const std::string& packages,
                                const std::string& info, const std::string& commands,
                                const StaleQuery& query) {
  const std::string record =
      read_if_readable(fs, packages + "/" + info + "/RECORD", kMaxRecordBytes);
  const auto files = recorded_files(packages, record);
  for (const StaleCommand& command : query.commands) {
    const std::string script = commands + "/" + command.name;
    if (std::ranges::find(files, script) == files.end()) continue;
    if (!recognized(fs, files, packages, script, query.recognize)) continue;
    const std::string name = info.substr(0, info.size() - kInfoEnd.size());
    const std::size_t dash = name.rfind('-');
    if (dash == std::string::npos) return std::nullopt;
    PipCopy copy{script, name.substr(0, dash), name.substr(dash + 1),
                 base_name(parent_path(packages))};
    const bool sayable = plain(copy.distribution) && plain(copy.version) && plain(copy.python);
    return sayable ? std::optional(copy) : std::nullopt;
  }
  return std::nullopt;
}

void find_copies(FileSystem& fs, const std::string& commands, const StaleQuery& query,
                 std::vector<PipCopy>& found) {
  const std::string library = parent_path(commands) + "/lib";
  std::size_t looked_at = 0;
  for (const std::string& python : list_if_readable(fs, library)) {
    if (!python.starts_with("python3")) continue;
    for (const char* kind : {"/site-packages", "/dist-packages"}) {
      const std::string packages = normal(library + "/" + python + kind);
      for (const std::string& name : list_if_readable(fs, packages)) {
        if (!name.ends_with(kInfoEnd) || ++looked_at > kMaxDistributions) continue;
        const auto copy = pip_copy(fs, packages, name, commands, query);
        if (copy && found.size() < kMaxFound) found.push_back(*copy);
      }
    }
  }
}

std::string path_in(const json& object, const char* key) {
  return unescape_path(object.at(key).get<std::string>());
}

template <typename Read>
auto reading(Read read) {
  try {
    return read();
  } catch (const json::exception& error) {
    throw Error(Code::kWorker,
                std::string("a message about old installations cannot be read: ") + error.what());
  }
}

bool asked_for(const StaleQuery& query, const std::string& path, const std::string* target) {
  return std::ranges::any_of(query.commands, [&](const StaleCommand& command) {
    if (target && (*target != command.target || target->empty())) return false;
    return std::ranges::any_of(query.directories, [&](const std::string& directory) {
      return path == directory + "/" + command.name;
    });
  });
}

}  // namespace

std::vector<std::string> home_commands(const std::string& home) {
  return {home + "/.local/bin", home + "/bin"};
}

StaleFound find_stale(FileSystem& fs, const StaleQuery& query) {
  StaleFound found;
  for (const std::string& directory : query.directories) {
    for (const StaleCommand& command : query.commands) {
      const auto link = stale_link(fs, directory + "/" + command.name, command);
      if (link && found.links.size() < kMaxFound) found.links.push_back(*link);
    }
    if (!query.recognize.empty()) find_copies(fs, directory, query, found.copies);
  }
  return found;
}

bool remove_stale_link(FileSystem& fs, const StaleLink& link) {
  if (!fs.writable(parent_path(link.path))) return false;
  const auto info = fs.info(link.path);
  const bool same = info && info->type == FileType::kLink && fs.read_link(link.path) == link.target;
  if (same) remove_durably(fs, link.path);
  return true;
}

void put_back_stale_link(FileSystem& fs, const StaleLink& link) {
  if (!fs.info(link.path)) return link_durably(fs, link.target, link.path);
  fs.sync_directory(parent_path(link.path));  // an attempt before this one may not have got so far
}

std::string uninstall_line(FileSystem& fs, const PipCopy& copy, bool system) {
  const bool managed = fs.info("/usr/lib/" + copy.python + "/EXTERNALLY-MANAGED").has_value();
  return std::string(system ? "sudo " : "") + copy.python + " -m pip uninstall " +
         (managed ? "--break-system-packages " : "") + copy.distribution;
}

json to_json(const StaleLink& link) {
  return {{"path", escape_path(link.path)}, {"target", escape_path(link.target)}};
}

StaleLink stale_link_from_json(const json& object) {
  return reading([&] { return StaleLink{path_in(object, "path"), path_in(object, "target")}; });
}

json to_json(const StaleQuery& query) {
  json directories = json::array(), commands = json::array();
  for (const std::string& one : query.directories) directories.push_back(escape_path(one));
  for (const StaleCommand& one : query.commands) {
    commands.push_back({{"name", escape_path(one.name)},
                        {"kept", escape_path(one.kept)},
                        {"target", escape_path(one.target)}});
  }
  return {{"directories", directories}, {"commands", commands}, {"recognize", query.recognize}};
}

StaleQuery stale_query_from_json(const json& object) {
  return reading([&] {
    StaleQuery query;
    for (const json& one : object.at("directories")) {
      query.directories.push_back(unescape_path(one.get<std::string>()));
    }
    for (const json& one : object.at("commands")) {
      query.commands.push_back(
          {path_in(one, "name"), path_in(one, "kept"), path_in(one, "target")});
    }
    query.recognize = object.at("recognize").get<std::vector<std::string>>();
    return query;
  });
}

json to_json(const StaleFound& found) {
  json links = json::array(), copies = json::array();
  for (const StaleLink& one : found.links) links.push_back(to_json(one));
  for (const PipCopy& one : found.copies) {
    copies.push_back({{"script", escape_path(one.script)},
                      {"distribution", one.distribution},
                      {"version", one.version},
                      {"python", one.python}});
  }
  return {{"links", links}, {"copies", copies}};
}

StaleFound stale_found_from_json(const json& object, const StaleQuery& query) {
  return reading([&] {
    StaleFound found;
    for (const json& one : object.at("links")) found.links.push_back(stale_link_from_json(one));
    for (const json& one : object.at("copies")) {
      found.copies.push_back(
          {path_in(one, "script"), one.at("distribution"), one.at("version"), one.at("python")});
    }
    const bool honest = found.links.size() <= kMaxFound && found.copies.size() <= kMaxFound &&
                        std::ranges::all_of(found.links,
                                            [&](const StaleLink& one) {
                                              return asked_for(query, one.path, &one.target);
                                            }) &&
                        std::ranges::all_of(found.copies, [&](const PipCopy& one) {
                          return asked_for(query, one.script, nullptr) && plain(one.distribution) &&
                                 plain(one.version) && plain(one.python);
                        });
    if (!honest) throw Error(Code::kWorker, "a worker found what it was not asked for");
    return found;
  });
}

}  // namespace mcpu
