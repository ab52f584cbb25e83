#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "daemon/source.hpp"

namespace mcpu {

/// Takes a notice to the daemon while a source is still being opened.
using Tell = SourceSession::Progress;

/// A release found in a source, in the worker: its listing is complete, its contents can be read.
/// One thread.
class OpenedSource {
 public:
  using Sink = std::function<void(std::string_view piece)>;

  virtual ~OpenedSource() = default;
  /// The content of a file of the listing, in pieces of at most kPieceBytes. Error{kSource} names
  /// the file if it cannot be read any more.
  virtual void read(const ListingEntry& file, const Sink& sink) = 0;

  ResolvedSource resolved;
  /// Keeps others from changing what it reads from; may be null.
  std::unique_ptr<FileLock> lock;
};

}  // namespace mcpu
