#include "daemon/worker/source_operation.hpp"

#include <algorithm>
#include <array>

#include "daemon/changelog.hpp"
#include "daemon/source_wire.hpp"
#include "daemon/version.hpp"
#include "daemon/worker/directory_source.hpp"
#include "daemon/worker/git_remote.hpp"
#include "daemon/worker/git_source.hpp"
#include "daemon/worker/source_location.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

using LocationKind = SourceLocation::Kind;

constexpr std::size_t kShortCommit = 12;
constexpr std::size_t kShortDigest = 8;
constexpr int kMostLinks = 8;

void require_directory(FileSystem& fs, const std::string& path, const std::string& shown) {
  const auto info = fs.info(path);
  if (!info) {
    throw Error(Code::kSource, "the source " + escape_path(shown) +
                                   " does not exist; correct `source` or give --from");
  }
  if (info->type != FileType::kDirectory) {
    throw Error(Code::kSource, "the source " + escape_path(shown) +
                                   " is not a directory; give a checkout, a repository or the "
                                   "directory that holds the application");
  }
}

/// A link to a checkout is as good as the checkout; everything below is opened without following.
std::string without_links(FileSystem& fs, std::string path) {
  for (int i = 0; i < kMostLinks; ++i) {
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    const auto info = fs.info(path);
    if (!info || info->type != FileType::kLink) break;
    const std::string target = fs.read_link(path);
    path = target.starts_with('/') ? target : path.substr(0, path.rfind('/') + 1) + target;
  }
  return path;
}

void refuse_git_options(const SourceRequest& request, const std::string& shown) {
  if (!request.to && !request.worktree) return;
  const std::string option = request.to ? "--to" : "--worktree";
  throw Error(Code::kSource, escape_path(shown) + " is a plain directory without versions; " +
                                 option + " needs a git " +
                                 (request.to ? "checkout or repository" : "checkout"));
}

std::unique_ptr<OpenedSource> open_path(FileSystem& fs, const SourceLocation& location,
                                        const SourceRequest& request) {
  const std::string path = without_links(fs, location.path);
  require_directory(fs, path, location.shown);
  if (location.kind == LocationKind::kPath && fs.info(path + "/.git")) {
    return open_checkout(fs, path, request);
  }
  if (request.worktree && is_repository(path)) {
    throw Error(
        Code::kSource,
        location.shown + " is a repository without a work tree to take; leave --worktree out");
  }
  if (location.kind == LocationKind::kFileUrl || is_repository(path)) {
    return open_local_repository(fs, path, request);
  }
  refuse_git_options(request, location.shown);
  return open_directory(fs, path, request);
}

/// What libgit2 says of a repository it was reading becomes an error with whose it is and what to
/// do: such a text names an object and no more.
template <typename Read>
auto reading(const std::string& shown, Read read) {
  try {
    return read();
  } catch (const Error& error) {
    if (!error.context().contains("git_class")) throw;
    throw Error(error.code(), escape_path(shown) + ": " + error.what() + "; " + kMendRepository,
                error.context());
  }
}

std::unique_ptr<OpenedSource> open_location(FileSystem& fs, const SourceLocation& location,
                                            const SourceRequest& request, const Tell& tell) {
  if (location.kind == LocationKind::kPath || location.kind == LocationKind::kFileUrl) {
    return open_path(fs, location, request);
  }
  if (request.worktree) {
    throw Error(Code::kSource, location.shown +
                                   " is a URL: there is no work tree to take; leave "
                                   "--worktree out");
  }
  return open_remote(fs, location, request, tell);
}

/// "bin/../lib/x" becomes "lib/x"; empty if it leads out of the tree.
std::string normalized(const std::string& path) {
  std::vector<std::string> parts;
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t end = std::min(path.find('/', start), path.size());
    const std::string part = path.substr(start, end - start);
    start = end + 1;
    if (part == ".." && parts.empty()) return {};
    if (part == "..") parts.pop_back();
    if (part != ".." && part != "." && !part.empty()) parts.push_back(part);
  }
  std::string out;
  for (const auto& part : parts) out += (out.empty() ? "" : "/") + part;
  return out;
}

ListingEntry* find_file(std::vector<ListingEntry>& entries, std::string path) {
  for (int i = 0; i < kMostLinks && !path.empty(); ++i) {
    const auto entry = std::ranges::find(entries, path, &ListingEntry::path);
    if (entry == entries.end()) return nullptr;
    if (entry->type == EntryType::kFile) return &*entry;
    if (entry->type != EntryType::kLink || entry->target.starts_with('/')) return nullptr;
    const std::size_t slash = path.rfind('/');
    path =
        normalized((slash == std::string::npos ? "" : path.substr(0, slash + 1)) + entry->target);
  }
  return nullptr;
}

/// What stands where an entry point should be, and what to do; empty if nothing does.
std::string instead_of_file(const std::vector<ListingEntry>& entries, const std::string& path) {
  const auto entry = std::ranges::find(entries, path, &ListingEntry::path);
  if (entry != entries.end() && entry->type == EntryType::kLink) {
    return "a link to " + escape_path(entry->target) +
           ", which is no file of the source itself; a release holds only what lies in its source: "
           "put the program there";
  }
  const bool directory =
      entry != entries.end() || std::ranges::any_of(entries, [&](const ListingEntry& one) {
        return one.path.starts_with(path + "/");
      });
  return directory ? "a directory, not a program; name the program in it" : "";
}

Error no_entry_point(const std::vector<ListingEntry>& entries, const std::string& location,
                     const std::string& path) {
  const std::string instead = instead_of_file(entries, path);
  const std::string what = instead.empty() ? " has no entry point " + escape_path(path) +
                                                 "; is it the right source? Otherwise correct"
                                           : ": its entry point " + escape_path(path) + " is " +
                                                 instead + ", or correct";
  return Error(Code::kSource, escape_path(location) + what + " `entry_points` in the configuration",
               {{"path", escape_path(path)}});
}

void complete_entry_points(const SourceRequest& request, ResolvedSource& resolved) {
  std::vector<ListingEntry> entries = resolved.listing.entries();
  if (entries.empty()) {
    throw Error(Code::kSource, escape_path(resolved.location) +
                                   " is empty: there is nothing in it that could be installed");
  }
  bool changed = false;
  for (const auto& path : request.entry_paths) {
    ListingEntry* const file = find_file(entries, path);
    if (file == nullptr) {
      throw no_entry_point(entries, resolved.location, path);
    }
    if (file->executable) continue;
    file->executable = changed = true;
    resolved.notices.push_back(
        {Tier::kWarning, "source.made_executable", {{"path", escape_path(file->path)}}});
  }
  if (changed) resolved.listing = Listing(std::move(entries));
}

void complete_changelog(const SourceRequest& request, OpenedSource& source) {
  const ListingEntry* const entry = source.resolved.listing.find(request.changelog_path);
  if (entry == nullptr || entry->type != EntryType::kFile) return;
  std::string text;
  source.read(*entry, [&](std::string_view piece) {
    text += piece.substr(0, kMaxChangelogBytes - text.size());
  });
  source.resolved.changelog = to_utf8(text).substr(0, kMaxChangelogBytes);
}

/// Tags may hold characters that no release can have in its name.
std::string as_release_version(std::string text) {
  for (char& c : text) {
    if (!is_release_version(std::string("0") + c)) c = '-';
  }
  text.erase(0, text.find_first_not_of(".-"));
  return text.substr(0, kMaxVersionBytes);
}

void complete_version(ResolvedSource& resolved) {
  std::string version = as_release_version(resolved.version);
  if (version.empty()) version = as_release_version(first_version(resolved.changelog));
  if (version.empty() && !resolved.commit.empty()) {
    version = resolved.commit.substr(0, kShortCommit);
  }
  if (version.empty()) version = "0-" + resolved.listing.digest().hex().substr(0, kShortDigest);
  resolved.version = version;
}

/// The contents of many files as one stream of frames: small files share one.
class ContentStream {
 public:
  explicit ContentStream(WorkerLink& link) : link_(link) {}

  void write(std::string_view piece) {
    while (!piece.empty()) {
      const std::size_t fits = std::min(piece.size(), kPieceBytes - buffer_.size());
      buffer_ += piece.substr(0, fits);
      piece.remove_prefix(fits);
      if (buffer_.size() == kPieceBytes) flush();
    }
  }

  void flush() {
    if (!buffer_.empty()) link_.send_bytes(buffer_);
    buffer_.clear();
  }

 private:
  WorkerLink& link_;
  std::string buffer_;
};

/// Sends exactly the bytes that the listing promised, or an error.
void send_content(OpenedSource& source, const ListingEntry& file, ContentStream& stream) {
  std::uint64_t left = file.size_bytes;
  const auto changed = [&] {
    return Error(Code::kSource, escape_path(file.path) +
                                    " changed while it was read; try again when nobody writes to " +
                                    escape_path(source.resolved.location));
  };
  source.read(file, [&](std::string_view piece) {
    if (piece.size() > left) throw changed();
    stream.write(piece);
    left -= piece.size();
  });
  if (left != 0) throw changed();
}

void answer_read(WorkerLink& link, OpenedSource& source, const nlohmann::json& indexes) {
  const auto& entries = source.resolved.listing.entries();
  ContentStream stream(link);
  for (const auto& index : indexes) {
    const ListingEntry& entry = entries.at(index.get<std::size_t>());
    if (entry.type != EntryType::kFile) continue;
    reading(source.resolved.location, [&] { send_content(source, entry, stream); });
  }
  stream.flush();
}

void send_resolved(WorkerLink& link, const ResolvedSource& resolved) {
  link.send({{"resolved", description_to_json(resolved)}});
  link.send_bytes(resolved.changelog);
  for (const auto& part : listing_parts(resolved.listing)) link.send_bytes(part);
}

/// The next request, or null when the daemon wants nothing more: it closes the link then.
nlohmann::json next_request(WorkerLink& link) {
  try {
    return link.receive();
  } catch (const Error&) {
    return nullptr;
  }
}

void answer_all(WorkerLink& link, FileSystem& fs) {
  const nlohmann::json first = next_request(link);
  if (first.is_null()) return;
  const auto source =
      open_source(fs, source_request_from_json(first.at("resolve")), [&](const Notice& notice) {
        link.send({{"notice", to_json(notice)}});
      });
  send_resolved(link, source->resolved);
  for (auto next = next_request(link); !next.is_null(); next = next_request(link)) {
    answer_read(link, *source, next.at("read"));
  }
}

}  // namespace

std::unique_ptr<OpenedSource> open_source(FileSystem& fs, const SourceRequest& request,
                                          const Tell& tell) {
  if (request.location.empty()) {
    throw Error(Code::kNoSource, "no source is configured; set `source` or give --from");
  }
  if (request.worktree && request.to) {
    throw Error(Code::kInvalidRequest, "--worktree takes the files as they are: it has no --to",
                {{"field", "worktree"}, {"reason", "cannot be combined with `to`"}});
  }
  const SourceLocation location = parse_location(request.location);
  auto source = reading(location.shown, [&] { return open_location(fs, location, request, tell); });
  source->resolved.location = location.shown;
  complete_entry_points(request, source->resolved);
  reading(location.shown, [&] { complete_changelog(request, *source); });
  complete_version(source->resolved);
  return source;
}

void run_source_operation(WorkerLink& link, FileSystem& fs) {
  try {
    answer_all(link, fs);
  } catch (const std::bad_alloc&) {
    throw Error(Code::kSource,
                "the source needs more memory than a source may; exclude what does not belong to "
                "the release");
  }
}

}  // namespace mcpu
