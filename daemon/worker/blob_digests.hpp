#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/digest.hpp"
#include "daemon/file_system.hpp"
#include "daemon/worker/git_handle.hpp"

namespace mcpu {

/// The SHA-256 of git blobs that were hashed before. It never changes for a blob, so that opening a
/// large source again costs what changed in it. Only a shortcut: a file that is missing, damaged or
/// out of reach is no digest known, and what the daemon reads is hashed again in any case.
class BlobDigests {
 public:
  using Known = std::pair<git_oid, Sha256>;

  /// Reads the file at `path`; empty path: knows nothing and keeps nothing.
  BlobDigests(FileSystem& fs, std::string path);

  std::optional<Sha256> find(const git_oid& id) const;
  /// Replaces the file if `fresh` of the digests in `all` were not in it and that is worth it. Not
  /// synced: after a power cut the checksum tells.
  void keep(std::vector<Known> all, std::size_t fresh);

 private:
  FileSystem& fs_;
  std::string path_;
  std::vector<Known> known_;  // sorted by id
};

}  // namespace mcpu
