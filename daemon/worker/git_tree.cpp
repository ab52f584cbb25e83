#include "daemon/worker/git_tree.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>

#include "daemon/source_wire.hpp"
#include "daemon/worker/blob_digests.hpp"
#include "daemon/worker/exclusion.hpp"
#include "daemon/worker/tree_collector.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

constexpr std::size_t kLargeBytes = 1 << 20;
constexpr std::size_t kMostDepth = 512;
constexpr std::size_t kCacheNameDigits = 16;

GitTree tree_of(git_repository* repository, const git_oid& commit) {
  git_object* object = nullptr;
  git_check(git_object_lookup(&object, repository, &commit, GIT_OBJECT_COMMIT),
            "read commit " + hex_of(commit));
  const GitObject owned(object);
  git_object* tree = nullptr;
  git_check(git_object_peel(&tree, object, GIT_OBJECT_TREE),
            "read the tree of commit " + hex_of(commit));
  return GitTree(reinterpret_cast<git_tree*>(tree));
}

GitOdb objects_of(git_repository* repository) {
  git_odb* odb = nullptr;
  git_check(git_repository_odb(&odb, repository), "open the object store");
  return GitOdb(odb);
}

/// What is being read of a commit, for errors.
std::string in_commit(const std::string& path, const git_oid& commit) {
  return escape_path(path) + " of commit " + hex_of(commit);
}

GitOdbObject read_object(git_odb* odb, const git_oid& id, const std::string& path,
                         const git_oid& commit) {
  git_odb_object* object = nullptr;
  git_check(git_odb_read(&object, odb, &id), "read " + in_commit(path, commit));
  return GitOdbObject(object);
}

std::string_view content_of(const GitOdbObject& object) {
  return {static_cast<const char*>(git_odb_object_data(object.get())),
          git_odb_object_size(object.get())};
}

/// Walks the trees of a commit; reads the headers of blobs but not yet their contents.
class TreeWalk {
 public:
  TreeWalk(git_repository* repository, const git_oid& commit, const std::string& name,
           const SourceRequest& request)
      : repository_(repository),
        commit_(commit),
        odb_(objects_of(repository)),
        name_(name),
        exclusion_(request.exclude),
        collector_(name, request.limits) {}

  void walk(const git_tree* tree, const std::string& prefix, std::size_t depth) {
    if (depth > kMostDepth) refuse_path(name_, prefix, "is nested too deeply");
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < git_tree_entrycount(tree); ++i) {
      const git_tree_entry* const entry = git_tree_entry_byindex(tree, i);
      const std::string path = prefix + git_tree_entry_name(entry);
      const bool is_tree = git_tree_entry_filemode(entry) == GIT_FILEMODE_TREE;
      if (exclusion_.covers(path, is_tree)) continue;
      if (!names.insert(git_tree_entry_name(entry)).second) refuse_twice(path);
      is_tree ? descend(entry, path, depth) : add(entry, path);
    }
  }

  std::vector<ListingEntry> entries() { return collector_.take(); }
  std::vector<git_oid> ids() { return std::move(ids_); }

 private:
  void descend(const git_tree_entry* entry, const std::string& path, std::size_t depth) {
    git_tree* tree = nullptr;
    git_check(git_tree_lookup(&tree, repository_, git_tree_entry_id(entry)),
              "read the directory " + in_commit(path, commit_));
    const GitTree owned(tree);
    walk(tree, path + "/", depth + 1);
  }

  [[noreturn]] void refuse_twice(const std::string& path) const {
    refuse_path(name_, path,
                "is there twice in commit " + hex_of(commit_) +
                    ", as in no tree that git makes; exclude it, or " + kMendRepository);
  }

  void add(const git_tree_entry* entry, const std::string& path) {
    ListingEntry found = entry_at(path, EntryType::kFile);
    const git_oid id = *git_tree_entry_id(entry);
    switch (git_tree_entry_filemode(entry)) {
      case GIT_FILEMODE_BLOB_EXECUTABLE:
        found.executable = true;
        [[fallthrough]];
      case GIT_FILEMODE_BLOB:
        found.size_bytes = size_of(id, path);
        break;
      case GIT_FILEMODE_LINK:
        make_link(found, id);
        break;
      case GIT_FILEMODE_COMMIT:
        refuse_path(name_, path, "is a git submodule, which is not followed; exclude it");
      case GIT_FILEMODE_UNREADABLE:
      case GIT_FILEMODE_TREE:
      default:
        refuse_path(name_, path, "is neither a file nor a link; exclude it");
    }
    collector_.add(std::move(found));
    ids_.push_back(id);
  }

  /// The header is enough: an object that is too large is refused before it is unpacked.
  std::size_t size_of(const git_oid& id, const std::string& path) const {
    std::size_t size = 0;
    git_object_t type = GIT_OBJECT_INVALID;
    git_check(git_odb_read_header(&size, &type, odb_.get(), &id),
              "read " + in_commit(path, commit_));
    if (type != GIT_OBJECT_BLOB) refuse_path(name_, path, "is no file in the object store");
    return size;
  }

  void make_link(ListingEntry& link, const git_oid& id) const {
    link.type = EntryType::kLink;
    if (size_of(id, link.path) > kMaxTargetBytes) {
      refuse_path(name_, link.path, "is a link with an endless target; exclude it");
    }
    link.target = content_of(read_object(odb_.get(), id, link.path, commit_));
    if (link.target.empty()) refuse_path(name_, link.path, "is a link to nothing; exclude it");
  }

  git_repository* repository_;
  git_oid commit_;
  GitOdb odb_;
  const std::string& name_;
  Exclusion exclusion_;
  TreeCollector collector_;
  std::vector<git_oid> ids_;  // as many as the collector has entries, in the same order
};

class CommitSource : public OpenedSource {
 public:
  CommitSource(GitRepository repository, GitTree tree, const git_oid& commit)
      : repository_(std::move(repository)),
        commit_(commit),
        odb_(objects_of(repository_.get())),
        tree_(std::move(tree)) {}

  void read(const ListingEntry& file, const Sink& sink) override {
    git_tree_entry* entry = nullptr;
    git_check(git_tree_entry_bypath(&entry, tree_.get(), file.path.c_str()),
              "read " + in_commit(file.path, commit_));
    const GitEntry owned(entry);
    const GitOdbObject blob =
        read_object(odb_.get(), *git_tree_entry_id(entry), file.path, commit_);
    std::string_view content = content_of(blob);
    while (!content.empty()) {
      sink(content.substr(0, kPieceBytes));
      content.remove_prefix(std::min(content.size(), kPieceBytes));
    }
  }

 private:
  GitRepository repository_;
  git_oid commit_;
  GitOdb odb_;
  GitTree tree_;
};

/// Reads and hashes one blob. Large ones are read one at a time: memory is bounded by the largest,
/// not by the sum.
Sha256 hash_blob(git_odb* odb, const git_oid& id, const ListingEntry& entry, const git_oid& commit,
                 const std::string& name, std::mutex& large) {
  std::unique_lock lock(large, std::defer_lock);
  if (entry.size_bytes > kLargeBytes) lock.lock();
  const GitOdbObject blob = read_object(odb, id, entry.path, commit);
  const std::string_view content = content_of(blob);
  if (is_lfs_pointer(content)) {
    refuse_path(name, entry.path, "is a Git LFS pointer, which is not followed; exclude it");
  }
  return Sha256::of(content);
}

/// Fills in the digest of each file; what was hashed before is not unpacked again.
void hash_blobs(const std::string& repository, const git_oid& commit, const std::string& name,
                BlobDigests& digests, const std::vector<git_oid>& ids,
                std::vector<ListingEntry>& entries) {
  std::mutex large;
  std::atomic<std::size_t> fresh{0};
  on_several_threads(entries.size(), [&]() -> Work {
    const std::shared_ptr<git_repository> own(open_repository(repository));
    const std::shared_ptr<git_odb> odb(objects_of(own.get()));
    return [&, own, odb](std::size_t i) {
      if (entries[i].type != EntryType::kFile) return;
      const auto known = digests.find(ids[i]);
      if (!known) ++fresh;
      entries[i].content =
          known ? *known : hash_blob(odb.get(), ids[i], entries[i], commit, name, large);
    };
  });
  std::vector<BlobDigests::Known> all;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].type == EntryType::kFile) all.emplace_back(ids[i], entries[i].content);
  }
  digests.keep(std::move(all), fresh);
}

/// One file for each source, beside the clone if it has one.
std::string digests_file(const std::string& name, const SourceRequest& request) {
  if (request.cache_directory.empty()) return {};
  return cache_of(name, request) + "/blobs";
}

}  // namespace

std::unique_ptr<OpenedSource> open_commit(FileSystem& fs, GitRepository repository,
                                          const git_oid& commit, const std::string& name,
                                          const SourceRequest& request) {
  GitTree tree = tree_of(repository.get(), commit);
  TreeWalk walk(repository.get(), commit, name, request);
  walk.walk(tree.get(), "", 0);
  std::vector<ListingEntry> entries = walk.entries();
  BlobDigests digests(fs, digests_file(name, request));
  hash_blobs(git_repository_path(repository.get()), commit, name, digests, walk.ids(), entries);
  auto source = std::make_unique<CommitSource>(std::move(repository), std::move(tree), commit);
  source->resolved.listing = Listing(std::move(entries));
  source->resolved.commit = hex_of(commit);
  return source;
}

std::string cache_of(const std::string& name, const SourceRequest& request) {
  return request.cache_directory + "/" + Sha256::of(name).hex().substr(0, kCacheNameDigits);
}

}  // namespace mcpu
