#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/file_system.hpp"

namespace mcpu {

/// The tree of files, directories and links behind MemoryFileSystem, with what a power cut would
/// leave of each. A value: a copy is a snapshot. Not thread safe.
///
/// What is durable: the content and attributes of a file or directory when it was last synced, and
/// the names in a directory when that directory was last synced. A rename is atomic: its two names
/// become durable together, as soon as either directory is synced. Nothing else ever becomes
/// durable by itself: the harshest disk there is.
///
/// Failures are thrown as errno values, `int`: the caller knows action and path.
class MemoryTree {
 public:
  using Id = std::uint64_t;
  using Names = std::map<std::string, Id>;

  MemoryTree();

  /// The node at a path; the last component is followed if `follow`. Throws ENOENT, ENOTDIR, ELOOP.
  Id find(const std::string& path, bool follow = false) const;
  /// The regular file at a path: ELOOP for a link, EINVAL for what is no regular file.
  Id find_file(const std::string& path) const;
  FileInfo info(Id id) const;
  const Names& names(Id directory) const;
  const std::string& content(Id file_or_link) const { return node(file_or_link).data; }

  Id make(const std::string& path, FileType type, std::uint32_t mode, std::string data);
  void link(const std::string& existing, const std::string& path);
  void rename(const std::string& from, const std::string& to, bool replace);
  void remove(const std::string& path, bool directory);
  void set_mode(Id id, std::uint32_t mode);
  void set_owner(Id id, std::uint32_t uid, std::uint32_t gid);
  void set_mtime(Id id, std::int64_t mtime_ns) {
    node(id).now.mtime_ns = mtime_ns;
    note_change(id);
  }
  void write(Id file, std::uint64_t offset, std::string_view bytes);
  void truncate(Id file, std::uint64_t size_bytes);

  void sync(Id id);
  /// What a failed sync means: this file's content never becomes durable again, even though later
  /// syncs of it succeed.
  void lose_writes(Id file) { node(file).writes_lost = true; }
  /// Makes a part of what is not durable durable, as the seed has it: what the kernel happened to
  /// write before the power went. Directories, renames, and contents up to some byte; a content may
  /// end in zeros, as a file does whose size was written first.
  void write_some_back(std::uint32_t seed);
  /// Forgets everything that is not durable.
  void cut_power();

 private:
  struct Attributes {
    std::uint32_t mode = 0, uid = 0, gid = 0;
    std::int64_t mtime_ns = 0, ctime_ns = 0;
  };
  struct Node {
    FileType type = FileType::kFile;
    Attributes now, durable;
    std::string data, durable_data;  ///< a file's content, a link's target
    Names names, durable_names;
    Id parent = 0;  ///< of a directory
    std::uint64_t links = 0;
    bool writes_lost = false;
  };
  /// A rename that is not durable yet.
  struct Move {
    Id what, from, to;
    std::string from_name, to_name;
  };
  /// Where a name is, or would be.
  struct Place {
    Id directory;
    std::string name;
    std::optional<Id> id;
  };
  class Walk;

  Node& node(Id id) { return nodes_.at(id); }
  const Node& node(Id id) const { return nodes_.at(id); }
  /// The place of a last component that is not followed.
  Place place(const std::string& path) const;
  /// A place that must be free: EEXIST.
  Place free_place(const std::string& path) const;
  void check_replaceable(const Node& moved, Id target) const;
  bool contains(Id directory, Id inner) const;
  void enter(Id directory, const std::string& name, Id id);
  void leave(Id directory, const std::string& name);
  void note_change(Id id) { node(id).now.ctime_ns = ++clock_; }
  void touch(Id id) {
    note_change(id);
    node(id).now.mtime_ns = clock_;
  }
  /// Makes the renames durable that `chosen` picks, and the earlier ones that they stand on.
  void commit_moves(const std::function<bool(const Move&)>& chosen);
  void count_links(Id directory, std::map<Id, Node>& reached);

  static constexpr Id kRoot = 1;
  std::map<Id, Node> nodes_;  ///< nodes without a name stay: they may be open, or durable
  std::vector<Move> moves_;
  Id next_id_ = kRoot + 1;
  std::int64_t clock_ = 1'000'000'000;
};

}  // namespace mcpu
