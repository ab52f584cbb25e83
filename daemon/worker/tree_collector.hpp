#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/listing.hpp"

namespace mcpu {

/// Gathers the entries of a tree that somebody else made and stops at the first limit that is
/// exceeded, before memory is spent on more. Errors are Error{kSource} and name the source.
class TreeCollector {
 public:
  /// `source` is how the source is called in errors.
  TreeCollector(std::string source, const TreeLimits& limits)
      : source_(std::move(source)), limits_(limits) {}

  void add(ListingEntry entry);
  bool empty() const { return entries_.empty(); }
  std::vector<ListingEntry> take() { return std::move(entries_); }

 private:
  std::string source_;
  TreeLimits limits_;
  std::vector<ListingEntry> entries_;
  std::uint64_t total_bytes_ = 0;
};

/// An entry of which only path and type are known yet.
ListingEntry entry_at(const std::string& path, EntryType type);

/// Throws Error{kSource}: "SOURCE: PATH WHAT".
[[noreturn]] void refuse_path(const std::string& source, std::string_view path,
                              const std::string& what);

/// Whether a file's content is a Git LFS pointer, the stand-in for content kept elsewhere.
bool is_lfs_pointer(std::string_view content);

/// Calls `work(i)` for each i below `count`, on as many threads as there are processors (at most
/// four); `prepare` makes the work of one thread, on that thread. The first exception ends it all
/// and is thrown here.
using Work = std::function<void(std::size_t)>;
void on_several_threads(std::size_t count, const std::function<Work()>& prepare);

}  // namespace mcpu
