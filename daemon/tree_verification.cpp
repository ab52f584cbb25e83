#include <algorithm>
#include <map>
#include <mutex>

#include "daemon/listing.hpp"
#include "daemon/parallel.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

constexpr std::uint32_t kExecuteBits = 0111;

/// Keeps the damages with the smallest paths, one for each path, and no more than are asked for.
class Damages {
 public:
  explicit Damages(std::size_t max) : max_(max) {}

  void add(const std::string& path, const std::string& what) {
    const std::lock_guard guard(mutex_);
    by_path_.emplace(path, what);
    if (by_path_.size() > max_) by_path_.erase(std::prev(by_path_.end()));
  }

  std::vector<Damage> take() const {
    std::vector<Damage> damages;
    for (const auto& [path, what] : by_path_) damages.push_back({escape_path(path), what});
    return damages;
  }

 private:
  const std::size_t max_;
  std::mutex mutex_;
  std::map<std::string, std::string> by_path_;
};

class Verification {
 public:
  Verification(FileSystem& fs, const std::string& tree, const Listing& listing, std::size_t max)
      : fs_(fs), tree_(tree), listing_(listing), damages_(max), seen_(listing.entries().size()) {}

  std::vector<Damage> run() {
    const auto info = fs_.info(tree_);
    if (!info || info->type != FileType::kDirectory) {
      damages_.add(".", info ? "is not a directory" : "missing");
      return damages_.take();
    }
    walk("");
    report_missing();
    parallel_for(to_hash_.size(), computing_threads(),
                 [this](std::size_t i) { hash(*to_hash_[i]); });
    return damages_.take();
  }

 private:
  std::string full(const std::string& path) const { return tree_ + "/" + path; }

  /// Looks at everything in a directory of the tree, "" for the tree itself.
  void walk(const std::string& directory) {
    std::vector<std::string> names;
    if (!attempt(directory.empty() ? "." : directory, [&] { names = fs_.list(full(directory)); })) {
      return;
    }
    for (const std::string& name : names) {
      const std::string path = directory.empty() ? name : directory + "/" + name;
      attempt(path, [&] { look_at(path); });
    }
  }

  void look_at(const std::string& path) {
    const auto info = fs_.info(full(path));
    if (!info) return;  // removed meanwhile: found missing if it is in the listing
    const ListingEntry* entry = listing_.find(path);
    if (entry != nullptr) {
      seen_[static_cast<std::size_t>(entry - listing_.entries().data())] = true;
      compare(*entry, *info);
    } else if (!is_directory_of_listing(path)) {
      damages_.add(path, "not in the listing");
    } else if (info->type != FileType::kDirectory) {
      damages_.add(path, "is not a directory");
    } else {
      walk(path);
    }
  }

  void compare(const ListingEntry& entry, const FileInfo& info) {
    switch (entry.type) {
      case EntryType::kFile:
        return compare_file(entry, info);
      case EntryType::kLink:
        return compare_link(entry, info);
      case EntryType::kEmptyDirectory:
        if (info.type != FileType::kDirectory)
          return damages_.add(entry.path, "is not a directory");
        return walk(entry.path);
    }
  }

  void compare_file(const ListingEntry& entry, const FileInfo& info) {
    if (info.type != FileType::kFile) return damages_.add(entry.path, "is not a file");
    if (info.size_bytes != entry.size_bytes) return damages_.add(entry.path, "content differs");
    const std::uint32_t executable = info.mode & kExecuteBits;
    if (entry.executable && executable != kExecuteBits) {
      damages_.add(entry.path, "is not executable");
    } else if (!entry.executable && executable != 0) {
      damages_.add(entry.path, "is executable");
    } else {
      to_hash_.push_back(&entry);
    }
  }

  void compare_link(const ListingEntry& entry, const FileInfo& info) {
    if (info.type != FileType::kLink) return damages_.add(entry.path, "is not a link");
    const std::string target = fs_.read_link(full(entry.path));
    if (target != entry.target) {
      damages_.add(entry.path, "leads to '" + escape_path(target) + "'");
    }
  }

  /// Runs on several threads.
  void hash(const ListingEntry& entry) {
    attempt(entry.path, [&] {
      if (hash_file(*fs_.open(full(entry.path))) != entry.content) {
        damages_.add(entry.path, "content differs");
      }
    });
  }

  void report_missing() {
    for (std::size_t i = 0; i < seen_.size(); ++i) {
      if (!seen_[i]) damages_.add(listing_.entries()[i].path, "missing");
    }
  }

  /// What cannot be read is damage too, and no reason to stop. False if it was so.
  template <typename Action>
  bool attempt(const std::string& path, Action action) {
    try {
      action();
      return true;
    } catch (const Error& error) {
      damages_.add(path, std::string("cannot be read: ") + error.what());
      return false;
    }
  }

  bool is_directory_of_listing(const std::string& path) const {
    const std::string start = path + "/";
    const auto& entries = listing_.entries();
    const auto first = std::lower_bound(
        entries.begin(), entries.end(), start,
        [](const ListingEntry& entry, const std::string& key) { return entry.path < key; });
    return first != entries.end() && first->path.starts_with(start);
  }

  FileSystem& fs_;
  const std::string tree_;
  const Listing& listing_;
  Damages damages_;
  std::vector<bool> seen_;
  std::vector<const ListingEntry*> to_hash_;
};

}  // namespace

std::vector<Damage> verify_tree(FileSystem& fs, const std::string& tree, const Listing& listing,
                                std::size_t max_damages) {
  return Verification(fs, tree, listing, max_damages).run();
}

}  // namespace mcpu
