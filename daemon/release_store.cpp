#include "daemon/release_store.hpp"

#include <cstring>
#include <sstream>

#include "daemon/durable.hpp"
#include "daemon/tree_builder.hpp"
#include "daemon/version.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

constexpr std::uint64_t kMaxInfoBytes = 4 << 20;
constexpr std::uint64_t kMaxListingBytes = 512 << 20;
constexpr std::size_t kDigestCharacters = 12;
constexpr std::size_t kShortCommit = 12;
constexpr std::uint32_t kExecutable = 0111;
constexpr int kMaxLinksInTree = 8;

json to_json(const ReleaseInfo& info) {
  json exec = json::object();
  for (const auto& [name, digest] : info.exec) exec[name] = digest.hex();
  return {{"format", 1},
          {"id", info.id},
          {"version", info.version},
          {"origin", info.origin},
          {"commit", info.commit},
          {"digest", info.digest.hex()},
          {"time", format_time(info.time)},
          {"files", info.files},
          {"bytes", info.bytes},
          {"changelog", info.changelog},
          {"exec", exec}};
}

ReleaseInfo info_from_json(const json& document) {
  if (document.at("format").get<int>() > 1) {
    throw Error(Code::kCorrupt, "made by a newer mcp-upgraded");
  }
  ReleaseInfo info;
  info.id = document.at("id");
  info.version = document.at("version");
  info.origin = document.at("origin");
  info.commit = document.at("commit");
  info.digest = Sha256::from_hex(document.at("digest").get<std::string>());
  info.time = parse_time(document.at("time").get<std::string>());
  info.files = document.at("files");
  info.bytes = document.at("bytes");
  info.changelog = document.at("changelog");
  const json exec = document.value("exec", json::object());
  for (const auto& [name, digest] : exec.items()) {
    info.exec[name] = Sha256::from_hex(digest.get<std::string>());
  }
  return info;
}

/// A version as a part of a file name: anything unusual becomes '_'.
std::string safe_name(const std::string& version) {
  std::string name = version.substr(0, 64);
  for (char& c : name) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '.' || c == '-' || c == '+';
    if (!plain) c = '_';
  }
  if (name.empty() || name[0] == '.') name.insert(0, "_");
  return name;
}

std::string exec_file(const ExecSpec& spec) {
  std::string content = spec.path;
  content += '\0';
  for (const auto& [name, value] : spec.environment) {
    content += name + "=" + value;
    content += '\0';
  }
  return content;
}

}  // namespace

std::string upgrade_options(const ReleaseInfo& release) {
  if (release.commit.empty()) return "--force";
  // "1.3.11-1-g3a973fe" is how git describes a commit behind a tag.
  const std::size_t described = release.version.rfind("-g");
  const bool tagged =
      described == std::string::npos ||
      !release.commit.starts_with(release.version.substr(described + std::strlen("-g")));
  if (tagged && parse_version(release.version)) return "--to " + release.version;
  return "--to " + release.commit.substr(0, kShortCommit);
}

ReleaseStore::ReleaseStore(FileSystem& fs, const Layout& layout, std::string app)
    : fs_(fs), layout_(layout), app_(std::move(app)) {}

std::string ReleaseStore::make_id(const std::string& version, const Sha256& digest) {
  return safe_name(version) + "-" + digest.hex().substr(0, kDigestCharacters);
}

std::string ReleaseStore::staging(JobId job) const {
  return layout_.releases(app_) + "/.staging-" + std::to_string(job);
}

std::optional<std::string> ReleaseStore::current() const {
  const std::string link = layout_.current(app_);
  const auto info = fs_.info(link);
  if (!info) return std::nullopt;
  if (info->type != FileType::kLink) {
    throw Error(Code::kCorrupt, link + " is not a link: move it away, then run 'mcpctl repair'",
                {{"file", link}});
  }
  const std::string id = base_name("/" + fs_.read_link(link));
  // One that leads to nothing names no release: it is as good as lost.
  return exists(id) ? std::optional(id) : std::nullopt;
}

std::string ReleaseStore::current_problem() const {
  const std::string link = layout_.current(app_), role = ", which names the release in use, ";
  if (!fs_.info(link)) return escape_path(link) + role + "is missing";
  return escape_path(link) + role + "leads to " + escape_path(fs_.read_link(link)) +
         ", which is not there";
}

std::vector<std::string> ReleaseStore::list() const {
  std::vector<std::string> ids;
  if (!fs_.info(layout_.releases(app_))) return ids;
  for (const std::string& name : fs_.list(layout_.releases(app_))) {
    if (name[0] != '.') ids.push_back(name);
  }
  return ids;
}

bool ReleaseStore::exists(const std::string& id) const {
  return !id.empty() && id[0] != '.' && id.find('/') == std::string::npos &&
         fs_.info(path(id)).has_value();
}

std::string ReleaseStore::find(const std::string& name) const {
  if (exists(name)) return name;
  const std::string bare = without_v(name);
  if (exists(bare)) return bare;
  std::vector<std::string> matches;
  for (const std::string& id : list()) {
    const std::string version = describe(id).version;
    const bool named = version == name || version == bare || id.starts_with(name + "-") ||
                       id.starts_with(bare + "-");
    if (named) matches.push_back(id);
  }
  if (matches.size() == 1) return matches.front();
  throw Error(Code::kNotFound,
              (matches.empty() ? "there is no release " : "more than one release matches ") +
                  to_utf8(name) + " here: 'mcpctl releases' lists them",
              {{"what", to_utf8(name)}});
}

ReleaseInfo ReleaseStore::read(const std::string& id) const {
  if (!exists(id)) throw Error(Code::kNotFound, "there is no release " + id, {{"what", id}});
  const std::string file = path(id) + "/release.json";
  try {
    return info_from_json(json::parse(read_file(fs_, file, kMaxInfoBytes)));
  } catch (const std::exception& error) {
    throw Error(Code::kCorrupt, file + " cannot be read: " + to_utf8(error.what()),
                {{"file", file}});
  }
}

ReleaseInfo ReleaseStore::describe(const std::string& id) const {
  try {
    return read(id);
  } catch (const Error& error) {
    if (error.code() == Code::kNotFound) throw;
  }
  ReleaseInfo info;
  info.id = id;
  info.version = version_in(id);
  return info;
}

Listing ReleaseStore::listing(const std::string& id) const {
  const std::string file = path(id) + "/listing";
  try {
    return Listing::from_text(read_file(fs_, file, kMaxListingBytes));
  } catch (const Error& error) {
    if (error.code() != Code::kCorrupt) throw;  // that names the file
    throw Error(Code::kCorrupt, file + ": " + error.what(), {{"file", file}});
  }
}

std::vector<ExecSpec> ReleaseStore::exec(const std::string& id) const {
  for (const Damage& damage : exec_damage(id, read(id))) {
    throw Error(Code::kCorrupt, damage.path + " " + damage.what, {{"file", damage.path}});
  }
  std::vector<ExecSpec> specs;
  for (const std::string& name : fs_.list(path(id) + "/exec")) {
    ExecSpec spec;
    spec.name = name;
    std::istringstream content(read_file(fs_, path(id) + "/exec/" + name, kMaxInfoBytes));
    std::getline(content, spec.path, '\0');
    for (std::string variable; std::getline(content, variable, '\0');) {
      const std::size_t equals = variable.find('=');
      if (equals == std::string::npos) continue;
      spec.environment[variable.substr(0, equals)] = variable.substr(equals + 1);
    }
    specs.push_back(std::move(spec));
  }
  return specs;
}

std::string ReleaseStore::program_problem(const std::string& id, const std::string& entry) const {
  const std::string recipe = path(id) + "/exec/" + entry;
  std::string text;
  try {
    const auto info = fs_.info(recipe);
    if (!info) return "its program is missing from release " + id;
    if (info->type != FileType::kFile) return escape_path(recipe) + " is not a file";
    text = read_file(fs_, recipe, kMaxInfoBytes);
  } catch (const Error& error) {
    return error.what();
  }
  const std::string name = text.substr(0, text.find('\0'));
  std::string file = layout_.tree(app_, id) + "/" + name;
  auto info = fs_.info(file);
  for (int links = 0; info && info->type == FileType::kLink && links < kMaxLinksInTree; ++links) {
    const std::string target = fs_.read_link(file);
    file = target.starts_with("/") ? target : parent_path(file) + "/" + target;
    info = fs_.info(file);
  }
  const std::string program = "its program " + escape_path(name) + " of release " + id;
  if (!info) return program + " is missing";
  const bool runs = info->type == FileType::kFile && (info->mode & kExecutable) != 0;
  return runs ? "" : program + " is not executable";
}

void ReleaseStore::share(TreeBuilder& builder, const std::string& donor) const {
  if (!exists(donor)) return;
  try {
    builder.share_with(layout_.tree(app_, donor), listing(donor));
  } catch (const Error&) {
    // Damaged: everything is written anew.
  }
}

StageReport ReleaseStore::stage(JobId job, const StageOrder& order,
                                const ReadContents& read_contents, const Progress& progress) {
  const std::string directory = staging(job);
  make_directories(fs_, layout_.releases(app_), 0755);
  remove_tree(fs_, directory);
  fs_.make_directory(directory, 0755);
  TreeBuilder builder(fs_, directory + "/tree");
  share(builder, order.reuse);
  StageReport report = builder.build(*order.listing, read_contents, progress);

  std::vector<std::string> unsynced = builder.unsynced();
  const auto add_file = [&](const std::string& name, std::string_view content, std::uint32_t mode) {
    const std::string file = directory + "/" + name;
    const auto output = fs_.create(file, mode);
    if (!content.empty()) output->write_at(0, content);
    unsynced.push_back(file);
  };
  ReleaseInfo info = order.info;
  for (const ExecSpec& spec : order.exec) info.exec[spec.name] = Sha256::of(exec_file(spec));
  add_file("release.json", to_json(info).dump(1) + "\n", 0444);
  add_file("listing", order.listing->to_text(), 0444);
  add_file("in-use", "", 0644);
  fs_.make_directory(directory + "/exec", 0755);
  for (const ExecSpec& spec : order.exec) add_file("exec/" + spec.name, exec_file(spec), 0444);
  unsynced.push_back(directory + "/exec");
  unsynced.push_back(directory);
  fs_.sync_all(unsynced);
  fs_.rename(directory, path(order.info.id), IfExists::kFail);
  fs_.sync_directory(layout_.releases(app_));
  return report;
}

bool ReleaseStore::unstage(JobId job, const std::string& id) {
  if (!fs_.info(layout_.releases(app_))) return true;
  remove_tree(fs_, staging(job));
  // Whoever started the command since the switch still runs from it.
  const bool gone = !exists(id) || remove(id);
  fs_.sync_directory(layout_.releases(app_));
  return gone;
}

void ReleaseStore::switch_to(const std::string& id) {
  if (id.empty()) return remove_durably(fs_, layout_.current(app_));
  link_durably(fs_, "releases/" + id, layout_.current(app_));
}

namespace {

/// Whether launchers lock this file; where it is lost they go on without.
bool lockable(FileSystem& fs, const std::string& in_use) {
  const auto info = fs.info(in_use);
  return info && info->type == FileType::kFile;
}

}  // namespace

bool ReleaseStore::in_use(const std::string& id) const {
  const std::string file = path(id) + "/in-use";
  return lockable(fs_, file) &&
         fs_.lock(file, LockKind::kWrite, std::chrono::milliseconds(0)) == nullptr;
}

bool ReleaseStore::remove(const std::string& id) {
  const std::string away = layout_.releases(app_) + "/.removed-" + id;
  {
    // A launcher that comes later finds the release renamed away and reads `current` again.
    const std::string file = path(id) + "/in-use";
    const bool locks = lockable(fs_, file);
    const auto lock =
        locks ? fs_.lock(file, LockKind::kWrite, std::chrono::milliseconds(0)) : nullptr;
    if (locks && !lock) return false;
    remove_tree(fs_, away);
    fs_.rename(path(id), away);
  }
  fs_.sync_directory(layout_.releases(app_));
  remove_tree(fs_, away);
  return true;
}

void ReleaseStore::clean() {
  if (!fs_.info(layout_.releases(app_))) return;
  for (const std::string& name : fs_.list(layout_.releases(app_))) {
    if (name.starts_with(".")) remove_tree(fs_, layout_.releases(app_) + "/" + name);
  }
}

}  // namespace mcpu
