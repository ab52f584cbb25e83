#include "daemon/adoption.hpp"

#include <algorithm>
#include <cstdlib>

#include "daemon/durable.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

using nlohmann::json;
using Kind = Standing::Kind;

constexpr std::uint64_t kMaxEntryBytes = 64 << 20;
constexpr std::uint32_t kLauncherMode = 0755;
constexpr std::uint32_t kOwnerReads = 0400;
constexpr int kMaxLinks = 8;

std::string record_file(const std::string& directory) { return directory + "/entry-points.json"; }

std::string kind_text(Kind kind) {
  return kind == Kind::kLink ? "link" : kind == Kind::kFile ? "file" : "nothing";
}

json to_json(const Standing& one) {
  return {{"path", escape_path(one.path)},
          {"kind", kind_text(one.kind)},
          {"target", escape_path(one.target)},
          {"mode", one.mode},
          {"uid", one.uid},
          {"gid", one.gid},
          {"mtime_ns", one.mtime_ns},
          {"content", one.content.hex()}};
}

Standing standing_from_json(const json& document) {
  Standing one;
  const std::string kind = document.at("kind");
  one.kind = kind == "link" ? Kind::kLink : kind == "file" ? Kind::kFile : Kind::kNothing;
  one.path = unescape_path(document.at("path").get<std::string>());
  one.target = unescape_path(document.at("target").get<std::string>());
  one.mode = document.at("mode");
  one.uid = document.at("uid");
  one.gid = document.at("gid");
  one.mtime_ns = document.at("mtime_ns");
  one.content = Sha256::from_hex(document.at("content").get<std::string>());
  return one;
}

bool same(const Standing& a, const Standing& b) {
  return a.kind == b.kind && a.target == b.target && a.content == b.content;
}

/// An absolute path for a link's target.
std::string absolute_target(const std::string& link, const std::string& target) {
  return target.starts_with("/") ? target : parent_path(link) + "/" + target;
}

/// Without "." and ".." components, by text alone.
std::string normalized(const std::string& path) {
  std::vector<std::string> parts;
  for (std::size_t start = 0; start < path.size();) {
    const std::size_t end = std::min(path.find('/', start), path.size());
    const std::string part = path.substr(start, end - start);
    if (part == ".." && !parts.empty()) parts.pop_back();
    if (!part.empty() && part != "." && part != "..") parts.push_back(part);
    start = end + 1;
  }
  std::string result;
  for (const std::string& part : parts) result += "/" + part;
  return result.empty() ? "/" : result;
}

/// What `take` finds in the record of a directory; nothing where there is no record.
template <typename Take>
auto from_record(FileSystem& fs, const std::string& directory, Take take)
    -> decltype(take(json())) {
  const std::string file = record_file(directory);
  if (!fs.info(file)) return {};
  try {
    return take(json::parse(read_file(fs, file, kMaxEntryBytes)));
  } catch (const json::exception&) {
    throw damaged_file(file,
                       "what stood at the commands before is not known without it, so put a good "
                       "copy back, or move it away");
  }
}

}  // namespace

std::string checkout_behind(FileSystem& fs, const EntryPoint& entry, const Standing& standing) {
  if (standing.kind != Kind::kLink) return "";
  std::string path = normalized(absolute_target(standing.path, standing.target));
  for (int i = 0; i < kMaxLinks; ++i) {
    const auto info = fs.info(path);
    if (!info || info->type != FileType::kLink) break;
    path = normalized(absolute_target(path, fs.read_link(path)));
  }
  const std::string suffix = "/" + entry.path;
  if (!path.ends_with(suffix)) return "";
  return path.substr(0, path.size() - suffix.size());
}

std::string foreign_instance(const Layout& layout, const Standing& standing) {
  if (standing.kind != Kind::kLink) return "";
  const std::string target = normalized(absolute_target(standing.path, standing.target));
  const std::string launch = parent_path(parent_path(target));
  if (base_name(launch) != "launch" || parent_path(launch) == layout.state) return "";
  return parent_path(launch);
}

std::string first_on_path(FileSystem& fs, const std::string& name) {
  const char* path = std::getenv("PATH");
  std::string rest = path ? path : "";
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    const std::string candidate = rest.substr(0, end) + "/" + name;
    rest.erase(0, end + 1);
    try {
      if (candidate.starts_with("/") && fs.info(candidate)) return candidate;
    } catch (const Error&) {
      // Who may not look there starts nothing from there.
    }
  }
  return "";
}

std::string path_line(const EntryPoint& entry) {
  return "export PATH=\"" + escape_path(parent_path(entry.link)) + ":$PATH\"";
}

EntryPoints::EntryPoints(FileSystem& fs, const Layout& layout, std::string app,
                         std::vector<EntryPoint> entries, std::string launcher)
    : fs_(fs),
      layout_(layout),
      app_(std::move(app)),
      entries_(std::move(entries)),
      launcher_(std::move(launcher)) {}

Standing EntryPoints::look(const std::string& path) const {
  Standing standing;
  standing.path = path;
  const auto info = fs_.info(path);
  if (!info) return standing;
  standing.mode = info->mode;
  standing.uid = info->uid;
  standing.gid = info->gid;
  standing.mtime_ns = info->mtime_ns;
  standing.kind = info->type == FileType::kLink   ? Kind::kLink
                  : info->type == FileType::kFile ? Kind::kFile
                                                  : Kind::kOther;
  if (standing.kind == Kind::kLink) standing.target = fs_.read_link(path);
  if (standing.kind == Kind::kFile) standing.content = hash_file(*fs_.open(path));
  return standing;
}

Standing EntryPoints::at_link(const EntryPoint& entry) const { return look(entry.link); }

bool EntryPoints::leads_to_launcher(const EntryPoint& entry) const {
  const auto info = fs_.info(entry.link);
  return info && info->type == FileType::kLink &&
         fs_.read_link(entry.link) == layout_.launcher(app_, entry.name);
}

bool EntryPoints::launcher_whole(const EntryPoint& entry) const {
  const std::string launcher = layout_.launcher(app_, entry.name);
  const auto info = fs_.info(launcher);
  // Its content last: with a wrong mode it may not be readable.
  return info && info->type == FileType::kFile && info->mode == kLauncherMode &&
         hash_file(*fs_.open(launcher)) == hash_file(*fs_.open(launcher_));
}

bool EntryPoints::in_place() const {
  return std::ranges::all_of(entries_, [&](const EntryPoint& entry) {
    return leads_to_launcher(entry) && launcher_whole(entry);
  });
}

std::string EntryPoints::problem(const EntryPoint& entry) const {
  const std::string link = escape_path(entry.link), launch = layout_.launch(app_);
  if (leads_to_launcher(entry)) {
    if (launcher_whole(entry)) return "";
    const auto info = fs_.info(launch);
    if (info && info->type != FileType::kDirectory) {
      return escape_path(launch) + " is not a directory: remove it, then run 'mcpctl repair'";
    }
    const std::string launcher = layout_.launcher(app_, entry.name);
    const auto found = fs_.info(launcher);
    const bool is_file =
        found && (found->type == FileType::kFile || found->type == FileType::kLink);
    if (found && (!is_file || (found->mode & kOwnerReads) == 0)) {
      return escape_path(launcher) + (is_file ? " cannot be read" : " is no file") +
             ": move it away, then run 'mcpctl repair'";
    }
    return "the launcher behind " + link +
           " was changed or removed: run 'mcpctl repair' to put it back";
  }
  const Standing standing = at_link(entry);
  const std::string found =
      standing.kind == Standing::Kind::kNothing ? "is missing"
      : standing.kind == Standing::Kind::kLink
          ? "leads to " + escape_path(standing.target) + ", not to its launcher"
          : "was replaced by something else";
  return link + " " + found + ": run 'mcpctl repair' to put it back";
}

std::vector<std::string> EntryPoints::problems() const {
  std::vector<std::string> problems;
  for (const EntryPoint& entry : entries_) {
    if (std::string one = problem(entry); !one.empty()) problems.push_back(std::move(one));
  }
  return problems;
}

bool EntryPoints::is_link(const std::string& path) const {
  return std::ranges::any_of(entries_, [&](const EntryPoint& entry) { return entry.link == path; });
}

bool EntryPoints::stands_as_recorded(const std::string& directory) const {
  return std::ranges::all_of(read_record(directory), [&](const Standing& standing) {
    return !is_link(standing.path) || same(look(standing.path), standing);
  });
}

std::vector<std::string> EntryPoints::places() const {
  std::vector<std::string> places;
  for (const EntryPoint& entry : entries_) {
    places.push_back(layout_.launcher(app_, entry.name));
    places.push_back(entry.link);
  }
  return places;
}

void EntryPoints::record(const std::string& directory) {
  if (fs_.info(record_file(directory))) return;
  make_directories(fs_, directory, 0700);
  json standings = json::array();
  for (const std::string& place : places()) {
    const Standing standing = look(place);
    if (standing.kind == Kind::kOther) {
      throw Error(Code::kRefused,
                  escape_path(place) + " is neither a file nor a link: move it away",
                  {{"reason", "entry point"}});
    }
    if (standing.kind == Kind::kFile) {
      write_durably(fs_, directory + "/" + standing.content.hex(),
                    read_file(fs_, place, kMaxEntryBytes), 0600);
    }
    standings.push_back(to_json(standing));
  }
  const json document{
      {"format", 1}, {"checkout", escape_path(checkout(directory))}, {"places", standings}};
  write_durably(fs_, record_file(directory), document.dump(1) + "\n", 0600);
}

std::vector<Standing> EntryPoints::read_record(const std::string& directory) const {
  return from_record(fs_, directory, [](const json& document) {
    std::vector<Standing> standings;
    for (const json& one : document.at("places")) standings.push_back(standing_from_json(one));
    return standings;
  });
}

std::string EntryPoints::recorded_checkout(const std::string& directory) const {
  return from_record(fs_, directory, [](const json& document) {
    return unescape_path(document.at("checkout").get<std::string>());
  });
}

std::string EntryPoints::checkout(const std::string& directory) const {
  std::string checkout = recorded_checkout(directory);
  for (const EntryPoint& entry : entries_) {
    if (checkout.empty()) checkout = checkout_behind(fs_, entry, at_link(entry));
  }
  return checkout;
}

std::string EntryPoints::recorded_origin(const std::string& directory) const {
  std::string origin = recorded_checkout(directory);
  for (const Standing& standing : read_record(directory)) {
    const bool launcher = standing.path.starts_with(layout_.launch(app_) + "/");
    if (!origin.empty() || launcher || standing.kind == Kind::kNothing) continue;
    origin = standing.kind == Kind::kLink
                 ? normalized(absolute_target(standing.path, standing.target))
                 : standing.path;
  }
  return origin;
}

void EntryPoints::install() {
  make_directories(fs_, layout_.launch(app_), 0755);
  for (const EntryPoint& entry : entries_) {
    const std::string launcher = layout_.launcher(app_, entry.name);
    if (launcher_whole(entry)) {
      sync_beside(launcher);
    } else {
      write_durably(fs_, launcher, read_file(fs_, launcher_, kMaxEntryBytes), kLauncherMode);
    }
    if (leads_to_launcher(entry)) {
      sync_beside(entry.link);
      continue;
    }
    make_directories(fs_, parent_path(entry.link), 0755);
    link_durably(fs_, launcher, entry.link);
  }
}

std::vector<std::string> EntryPoints::put_back(const std::string& directory) {
  std::vector<std::string> left_alone;
  for (const Standing& standing : read_record(directory)) {
    const Standing present = look(standing.path);
    if (same(present, standing)) {
      sync_beside(standing.path);
      continue;
    }
    const bool on_path = is_link(standing.path);
    const bool ours =
        present.kind == Kind::kNothing ||
        (present.kind == Kind::kLink && present.target.starts_with(layout_.launch(app_) + "/"));
    if (on_path && !ours) {
      left_alone.push_back(standing.path);
    } else if (on_path || standing.kind != Kind::kNothing) {
      // A launcher that was not there before stays: a process may be starting through it.
      restore(standing, directory);
    }
  }
  return left_alone;
}

void EntryPoints::sync_beside(const std::string& path) {
  const std::string directory = parent_path(path);
  if (fs_.info(directory + "/.")) fs_.sync_directory(directory);
}

void EntryPoints::restore(const Standing& standing, const std::string& directory) {
  if (standing.kind == Kind::kNothing) return remove_durably(fs_, standing.path);
  if (standing.kind == Kind::kLink) return link_durably(fs_, standing.target, standing.path);
  const std::string temporary =
      parent_path(standing.path) + "/." + base_name(standing.path) + ".tmp";
  const std::string content =
      read_file(fs_, directory + "/" + standing.content.hex(), kMaxEntryBytes);
  if (Sha256::of(content) != standing.content) {
    throw damaged_file(
        directory + "/" + standing.content.hex(),
        "it is what stood at " + escape_path(standing.path) + " before; put a good copy back");
  }
  remove_tree(fs_, temporary);
  {
    const auto output = fs_.create(temporary, 0600);
    output->write_at(0, content);
    fs_.set_owner(temporary, standing.uid, standing.gid);
    fs_.set_mode(temporary, standing.mode);
    fs_.set_times(temporary, standing.mtime_ns);
    output->sync();
  }
  fs_.rename(temporary, standing.path);
  fs_.sync_directory(parent_path(standing.path));
}

}  // namespace mcpu
