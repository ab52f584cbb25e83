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

/// Whether a failure may be the fault of a damaged repository on disk, not of the network, the
/// other side or the caller.
bool blames_repository(const Error& error);

/// Fetches every branch and tag of a URL into a bare repository of our own and drops what is gone
/// there. `budget_bytes` bounds what is received. Tells `source.fetching` up to five times a
/// second. Error{kSource} by name for a certificate or host key that is not known, and for
/// credentials that are not accepted.
FetchStatistics fetch_all(FileSystem& fs, git_repository* repository,
                          const SourceLocation& location, const SourceRequest& request,
                          std::uint64_t budget_bytes, const Tell& tell);

}  // namespace mcpu
