#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/digest.hpp"

namespace mcpu {

enum class EntryType { kFile, kLink, kEmptyDirectory };

/// One line of a tree's listing.
struct ListingEntry {
  std::string path;  ///< raw bytes, relative, '/'-separated, no "." or ".."
  EntryType type = EntryType::kFile;
  bool executable = false;       ///< files only
  std::uint64_t size_bytes = 0;  ///< files only
  Sha256 content;                ///< files: of the content
  std::string target;            ///< links: raw bytes of the target
  bool operator==(const ListingEntry&) const = default;
};

/// Bounds on what a source may contain; what exceeds one is refused by name.
struct TreeLimits {
  std::size_t max_entries = 200'000;
  std::uint64_t max_total_bytes = 4ULL << 30;
  std::uint64_t max_file_bytes = 1ULL << 30;
  std::size_t max_path_bytes = 1024;
};

/// The sorted listing of a tree: what a release consists of, and what its digest is computed from.
/// Directories are implied by what is in them; only empty ones are entries of their own, so that a
/// checkout and a plain copy of it have the same listing.
class Listing {
 public:
  Listing() = default;
  /// Sorts `entries` by path bytes.
  explicit Listing(std::vector<ListingEntry> entries);

  const std::vector<ListingEntry>& entries() const { return entries_; }
  /// Null when the path is not in it.
  const ListingEntry* find(std::string_view path) const;
  std::uint64_t total_bytes() const;
  /// SHA-256 over path bytes, type, executable bit and content digest or link target of each entry
  /// in order (each field length-prefixed); sizes follow from the contents.
  Sha256 digest() const;

  /// The stored form: a header line with the format, then one line for each entry, paths escaped.
  std::string to_text() const;
  /// Throws Error{kCorrupt} naming the line.
  static Listing from_text(std::string_view text);

 private:
  std::vector<ListingEntry> entries_;
};

/// Checks a listing that came from somebody else: sorted and unique paths, no file that is also a
/// directory, relative, no empty, "." or ".." component, no control characters, no `.git`
/// component, links neither absolute nor leading out of the tree, limits kept. Throws
/// Error{kSource} naming the first offender and what to do (`exclude` ...).
void validate(const Listing& listing, const TreeLimits& limits);

/// One difference between a tree on disk and its listing.
struct Damage {
  std::string path;  ///< escaped for showing
  std::string
      what;  ///< "content differs", "missing", "not in the listing", "is not executable", ...
};

/// Compares a tree on disk with its listing by content, hashing on several threads. Finds changed,
/// missing and additional entries; never stops at the first; at most `max_damages` are returned.
std::vector<Damage> verify_tree(FileSystem& fs, const std::string& tree, const Listing& listing,
                                std::size_t max_damages = 20);

/// Paths (escaped) that differ between two listings, for summaries and the dry run.
struct ListingChanges {
  std::vector<std::string> added, changed, removed;
};
ListingChanges compare(const Listing& before, const Listing& after);

}  // namespace mcpu
