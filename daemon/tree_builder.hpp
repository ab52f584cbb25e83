#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "daemon/release_store.hpp"

namespace mcpu {

/// Writes one tree of a release: unchanged files of another release are shared with it, the rest is
/// written from the source, modes are set to 0444 and 0555. Nothing is synced here. Job thread.
class TreeBuilder {
 public:
  TreeBuilder(FileSystem& fs, std::string tree) : fs_(fs), tree_(std::move(tree)) {}

  /// Names a verified-by-rehash donor for files of the same content and executable bit: each is
  /// hashed again before it is shared, so damage never spreads.
  void share_with(std::string donor_tree, Listing donor);
  StageReport build(const Listing& listing, const ReleaseStore::ReadContents& read_contents,
                    const ReleaseStore::Progress& progress);
  /// Files and directories that must be synced before the tree counts.
  const std::vector<std::string>& unsynced() const { return unsynced_; }

 private:
  void make_directories_of(const Listing& listing);
  std::vector<std::size_t> share_unchanged(const Listing& listing);
  bool share(const std::string& from, const std::string& to, bool executable);
  void write_contents(const Listing& listing, const std::vector<std::size_t>& missing,
                      const ReleaseStore::ReadContents& read_contents,
                      const ReleaseStore::Progress& progress, StageReport& report);
  void protect_directories();

  FileSystem& fs_;
  std::string tree_;
  std::string donor_tree_;
  Listing donor_;
  bool reflinks_ = true;                  ///< until the file system refused one
  std::vector<std::string> directories_;  ///< parents before children
  std::vector<std::string> unsynced_;
};

}  // namespace mcpu
