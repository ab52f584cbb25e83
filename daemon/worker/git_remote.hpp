#pragma once

#include <memory>

#include "daemon/file_system.hpp"
#include "daemon/worker/opened_source.hpp"
#include "daemon/worker/source_location.hpp"

namespace mcpu {

/// Brings the clone of a URL in the cache up to date and opens what is asked for in it: a clone
/// the first time, later only what is new (branches and tags; what is gone there goes here). Size
/// is bounded by `max_clone_bytes`; time by whoever kills this process, which leaves the cache
/// usable: a half-made clone is thrown away by the next run, a damaged one replaced. An unknown
/// certificate or host key, and a tag that moved since it was first seen, are Error{kSource} by
/// name. Credentials are never shown. `fs` must outlive the result.
std::unique_ptr<OpenedSource> open_remote(FileSystem& fs, const SourceLocation& location,
                                          const SourceRequest& request, const Tell& tell);

}  // namespace mcpu
