#pragma once

#include <cstdint>

#include "daemon/file_system.hpp"
#include "daemon/worker/git_handle.hpp"
#include "daemon/worker/opened_source.hpp"
#include "daemon/worker/source_location.hpp"

namespace mcpu {

/// How much a fetch may bring and has brought.
struct FetchStatistics {
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;
};

/// Fetches every branch and tag of a URL into a bare repository of our own and drops what is gone
/// there. `budget_bytes` bounds what is received. Tells `source.fetching` up to five times a
/// second. Error{kSource} by name for a certificate or host key that is not known, and for
/// credentials that are not accepted. An error blames the repository only if something in it cannot
/// be read: whatever the network and the other side do is their own.
FetchStatistics fetch_all(FileSystem& fs, git_repository* repository,
                          const SourceLocation& location, const SourceRequest& request,
                          std::uint64_t budget_bytes, const Tell& tell);

}  // namespace mcpu
