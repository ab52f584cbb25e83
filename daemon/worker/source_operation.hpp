#pragma once

#include <memory>

#include "daemon/file_system.hpp"
#include "daemon/worker/opened_source.hpp"

namespace mcpu {

/// Finds out what kind of source it is, opens it and completes what it offers: entry points are
/// there and executable, the changelog is read, the release has a version. `fs` must outlive the
/// result; the network is only used for URLs.
std::unique_ptr<OpenedSource> open_source(FileSystem& fs, const SourceRequest& request,
                                          const Tell& tell);

/// The source worker's work: answers one `resolve` and then every `read` until the daemon closes
/// the link. What it throws is for the daemon to know.
void run_source_operation(WorkerLink& link, FileSystem& fs);

}  // namespace mcpu
