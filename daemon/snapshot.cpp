#include "daemon/snapshot.hpp"

#include <memory>

#include "daemon/durable.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

constexpr std::uint64_t kMaxManifestBytes = 4 << 20;
constexpr std::uint64_t kMaxContentBytes = 256 << 20;

std::string to_document(const std::vector<FileState>& states,
                        const std::set<std::string>& touched) {
  json files = json::array();
  for (const FileState& state : states) files.push_back(to_json(state));
  json paths = json::array();
  for (const std::string& path : touched) paths.push_back(escape_path(path));
  const json document{
      {"format", 1}, {"time", format_time(now())}, {"files", files}, {"touched", paths}};
  return document.dump(1) + "\n";
}

/// What one of the two documents says.
struct Document {
  std::vector<FileState> states;
  std::set<std::string> touched;
};

Document from_document(FileSystem& fs, const std::string& file) {
  try {
    Document result;
    const json document = json::parse(read_file(fs, file, kMaxManifestBytes));
    for (const json& state : document.at("files")) {
      result.states.push_back(file_state_from_json(state));
    }
    for (const json& path : document.at("touched")) {
      result.touched.insert(unescape_path(path.get<std::string>()));
    }
    return result;
  } catch (const std::exception&) {
    throw damaged_file(file,
                       "the configuration files saved with it cannot be put back, so go without "
                       "them, with --configs=never");
  }
}

/// Writes contents that arrive piece by piece, one file after the other, named by their digest once
/// that is known.
class ContentWriter {
 public:
  ContentWriter(FileSystem& fs, std::string directory)
      : fs_(fs), directory_(std::move(directory)) {}

  void add(const FileState& state, std::string_view piece, bool last) {
    const std::string part = directory_ + "/.part";
    if (!output_) {
      output_ = fs_.create(part, 0600);
      offset_ = 0;
    }
    if (!piece.empty()) output_->write_at(offset_, piece);
    offset_ += piece.size();
    if (!last) return;
    output_.reset();
    const std::string name = directory_ + "/" + state.content.hex();
    fs_.rename(part, name);
    written_.push_back(name);
  }
  const std::vector<std::string>& written() const { return written_; }

 private:
  FileSystem& fs_;
  std::string directory_;
  std::unique_ptr<OutputFile> output_;
  std::uint64_t offset_ = 0;
  std::vector<std::string> written_;
};

}  // namespace

const FileState* find_state(const std::vector<FileState>& states, const std::string& path) {
  for (const FileState& state : states) {
    if (state.path == path) return &state;
  }
  return nullptr;
}

Snapshot::Snapshot(FileSystem& fs, const Layout& layout, JobId job, std::uint32_t uid)
    : fs_(fs), directory_(layout.snapshot(job) + "/" + std::to_string(uid)) {}

void Snapshot::make_directory() {
  make_directories(fs_, parent_path(directory_), 0700);
  if (fs_.info(directory_)) remove_tree(fs_, directory_);
  fs_.make_directory(directory_, 0700);
  fs_.make_directory(directory_ + "/content", 0700);
}

std::vector<FileState> Snapshot::save(Home& home) {
  make_directory();
  ContentWriter contents(fs_, directory_ + "/content");
  const auto states = home.save([&](const FileState& state, std::string_view piece, bool last) {
    contents.add(state, piece, last);
  });
  std::vector<std::string> unsynced = contents.written();
  const std::string manifest = directory_ + "/manifest.json";
  {
    const auto output = fs_.create(manifest + ".new", 0600);
    output->write_at(0, to_document(states, {}));
  }
  unsynced.push_back(manifest + ".new");
  unsynced.push_back(directory_ + "/content");
  unsynced.push_back(parent_path(directory_));
  fs_.sync_all(unsynced);
  fs_.rename(manifest + ".new", manifest);
  fs_.sync_directory(directory_);
  return states;
}

bool Snapshot::complete() const { return fs_.info(directory_ + "/manifest.json").has_value(); }

std::vector<FileState> Snapshot::before() const {
  return from_document(fs_, directory_ + "/manifest.json").states;
}

std::optional<std::vector<FileState>> Snapshot::after() const {
  const std::string file = directory_ + "/after.json";
  if (!fs_.info(file)) return std::nullopt;
  return from_document(fs_, file).states;
}

std::set<std::string> Snapshot::touched() const {
  return from_document(fs_, directory_ + "/after.json").touched;
}

void Snapshot::record_after(const std::vector<FileState>& states,
                            const std::set<std::string>& touched) {
  write_durably(fs_, directory_ + "/after.json", to_document(states, touched), 0600);
}

std::string Snapshot::content(const FileState& state) const {
  const std::string file = directory_ + "/content/" + state.content.hex();
  std::string content = read_file(fs_, file, kMaxContentBytes);
  if (Sha256::of(content) != state.content) {
    throw Error(Code::kCorrupt,
                "the saved copy of " + escape_path(state.path) + " in " + file +
                    " is damaged: its content does not match its name",
                {{"file", file}});
  }
  return content;
}

std::string Snapshot::keep_found(const FileState& state, const std::string& content) {
  const std::string found = directory_ + "/found";
  make_directories(fs_, found, 0700);
  const std::string path = found + "/" + base_name("/" + state.path) + "-" + state.content.hex();
  write_durably(fs_, path, content, 0600);
  return path;
}

void Snapshot::keep() { make_directories(fs_, directory_ + "/found", 0700); }

void Snapshot::discard() {
  if (fs_.info(directory_ + "/found")) {
    const std::string temporary = directory_ + "/.after.json.tmp";
    if (fs_.info(temporary)) remove_durably(fs_, temporary);
    return;
  }
  // First, and for good: from here on nobody asks for contents that may be gone already.
  const std::string manifest = directory_ + "/manifest.json";
  if (fs_.info(manifest)) remove_durably(fs_, manifest);
  remove_tree(fs_, directory_);
  const std::string job = parent_path(directory_), all = parent_path(job);
  if (fs_.info(job) && fs_.list(job).empty()) fs_.remove_directory(job);
  // Also where nothing was left to remove: the attempt before may not have made it durable.
  const std::string& lowest = fs_.info(job) ? job : all;
  if (fs_.info(lowest)) fs_.sync_directory(lowest);
}

}  // namespace mcpu
