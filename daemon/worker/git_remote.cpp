#include "daemon/worker/git_remote.hpp"

#include <map>
#include <sstream>

#include "daemon/durable.hpp"
#include "daemon/worker/git_damage.hpp"
#include "daemon/worker/git_fetch.hpp"
#include "daemon/worker/git_source.hpp"
#include "daemon/worker/git_tree.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

constexpr std::uint64_t kMaxRecordBytes = 16 << 20;
constexpr std::chrono::seconds kLockWait{60};

/// The cache of one location:
///     clone.git   a bare repository
///     clone.new   one being made; left over only by a process that was killed
///     tags        "COMMIT NAME" of each version tag that was ever chosen, as it was first seen
///     blobs       digests of files, see BlobDigests
///     lock        held while any of these is used
class CachedClone {
 public:
  CachedClone(FileSystem& fs, const SourceLocation& location, const SourceRequest& request,
              const Tell& tell)
      : fs_(fs),
        location_(location),
        request_(request),
        tell_(tell),
        directory_(cache_of(location.shown, request)),
        clone_(directory_ + "/clone.git") {
    make_directories(fs_, directory_, 0700);
    take_lock();
    remove_tree(fs_, directory_ + "/clone.new");
  }

  std::unique_ptr<OpenedSource> open() {
    if (!fs_.info(clone_)) return open_fresh();
    try {
      update();
      return open_updated();
    } catch (const Error& error) {
      if (!blames_repository(error)) throw;
      tell_({Tier::kWarning,
             "source.cache_damaged",
             {{"location", location_.shown}, {"reason", error.what()}}});
    }
    remove_tree(fs_, clone_);
    return open_fresh();
  }

 private:
  void take_lock() {
    const std::string path = directory_ + "/lock";
    if (!fs_.info(path)) fs_.create(path, 0600);
    lock_ = fs_.lock(path, LockKind::kWrite, kLockWait);
    if (lock_) return;
    throw Error(Code::kSource, "the clone cache " + escape_path(directory_) +
                                   " is in use by another process; try again when it is done");
  }

  std::unique_ptr<OpenedSource> open_fresh() {
    make_clone();
    return open_updated();
  }

  void make_clone() {
    start_git();
    const std::string fresh = directory_ + "/clone.new";
    git_repository* repository = nullptr;
    if (git_repository_init(&repository, fresh.c_str(), 1) < 0) {
      throw Error(Code::kSource, git_error_of("make a clone in " + escape_path(directory_)).what());
    }
    const GitRepository owned(repository);
    try {
      const auto stats =
          fetch_all(fs_, repository, location_, request_, request_.max_clone_bytes, tell_);
      fs_.rename(fresh, clone_);
      say("source.cloned", stats);
    } catch (...) {
      remove_tree(fs_, fresh);
      throw;
    }
  }

  void update() {
    clean("");
    const GitRepository repository = open_repository(clone_);
    const std::uint64_t used = pack_bytes();
    const std::uint64_t budget =
        request_.max_clone_bytes > used ? request_.max_clone_bytes - used : 0;
    const auto stats = fetch_all(fs_, repository.get(), location_, request_, budget, tell_);
    if (stats.objects != 0) say("source.fetched", stats);
  }

  void say(const char* id, const FetchStatistics& stats) const {
    tell_({Tier::kInfo,
           id,
           {{"location", location_.shown}, {"objects", stats.objects}, {"bytes", stats.bytes}}});
  }

  /// Removes what a fetch that was killed left behind: lock files would stop every later one,
  /// half-written packs would only take space. REQUIRES: the lock is held.
  void clean(const std::string& below) {
    const std::string path = clone_ + below;
    for (const auto& name : fs_.list(path)) {
      const std::string child = path + "/" + name;
      const auto info = fs_.info(child);
      if (!info) continue;
      if (info->type == FileType::kDirectory) {
        clean(below + "/" + name);
      } else if (name.ends_with(".lock") || name.starts_with("pack_") || name.starts_with("tmp_")) {
        fs_.remove_file(child);
      }
    }
  }

  std::uint64_t pack_bytes() {
    const std::string packs = clone_ + "/objects/pack";
    std::uint64_t bytes = 0;
    if (!fs_.info(packs)) return 0;
    for (const auto& name : fs_.list(packs)) {
      if (const auto info = fs_.info(packs + "/" + name)) bytes += info->size_bytes;
    }
    return bytes;
  }

  std::unique_ptr<OpenedSource> open_updated() {
    GitRepository repository = open_repository(clone_);
    const ChosenCommit chosen = request_.to
                                    ? find_commit(repository.get(), location_.shown, *request_.to)
                                    : newest_version(repository.get(), location_.shown);
    check_tag(chosen);
    auto source = open_chosen(fs_, std::move(repository), chosen, location_.shown, request_);
    record_tag(chosen);
    source->lock = std::move(lock_);
    return source;
  }

  std::map<std::string, std::string> recorded_tags() {
    std::map<std::string, std::string> tags;
    const std::string path = directory_ + "/tags";
    if (!fs_.info(path)) return tags;
    std::istringstream lines(read_file(fs_, path, kMaxRecordBytes));
    for (std::string line; std::getline(lines, line);) {
      const std::size_t space = line.find(' ');
      if (space != std::string::npos) tags[line.substr(space + 1)] = line.substr(0, space);
    }
    return tags;
  }

  void check_tag(const ChosenCommit& chosen) {
    const auto tags = recorded_tags();
    const auto seen = tags.find(chosen.tag);
    const std::string commit = hex_of(chosen.id);
    if (chosen.tag.empty() || seen == tags.end() || seen->second == commit) return;
    throw Error(Code::kSource,
                "the tag " + escape_path(chosen.tag) + " of " + location_.shown +
                    " was moved from commit " + seen->second.substr(0, 12) + " to " +
                    commit.substr(0, 12) +
                    "; ask its publisher why, then take the commit itself with --to, or remove " +
                    escape_path(directory_ + "/tags") + " to accept all tags as they are now",
                {{"tag", escape_path(chosen.tag)}});
  }

  void record_tag(const ChosenCommit& chosen) {
    auto tags = recorded_tags();
    if (chosen.tag.empty() || tags.contains(chosen.tag)) return;
    tags[chosen.tag] = hex_of(chosen.id);
    std::string text;
    for (const auto& [name, commit] : tags) text += commit + " " + name + "\n";
    write_durably(fs_, directory_ + "/tags", text, 0600);
  }

  FileSystem& fs_;
  const SourceLocation& location_;
  const SourceRequest& request_;
  const Tell& tell_;
  std::string directory_;
  std::string clone_;
  std::unique_ptr<FileLock> lock_;
};

}  // namespace

std::unique_ptr<OpenedSource> open_remote(FileSystem& fs, const SourceLocation& location,
                                          const SourceRequest& request, const Tell& tell) {
  if (request.cache_directory.empty()) {
    throw Error(Code::kInternal, "no cache directory was given for " + location.shown);
  }
  return CachedClone(fs, location, request, tell).open();
}

}  // namespace mcpu
