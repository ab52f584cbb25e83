#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "daemon/source.hpp"
#include "daemon/worker_link.hpp"

/// What the daemon and its source worker say to each other, in this order:
///
///     daemon: {"resolve": request}
///     worker: any number of {"notice": ...}, then {"resolved": ...} with the number of entries,
///             one frame of bytes with the changelog, frames of bytes with parts of the listing
///     daemon: {"read": [index, ...]}, as often as it likes
///     worker: the contents of these files as one stream, cut into frames of bytes anywhere
///
/// Any answer of the worker may be an error instead. Everything that throws here does so with
/// Error{kWorker}: the other side is not believed.
namespace mcpu {

inline constexpr std::size_t kMaxChangelogBytes = 256 * 1024;
inline constexpr std::size_t kMaxVersionBytes = 100;
inline constexpr std::size_t kReadBatch = 4096;       ///< indexes in one frame
inline constexpr std::size_t kMaxTargetBytes = 4096;  ///< of a link

nlohmann::json to_json(const SourceRequest& request);
SourceRequest source_request_from_json(const nlohmann::json& json);

nlohmann::json to_json(const Notice& notice);
/// Only ids of sources are taken.
Notice source_notice_from_json(const nlohmann::json& json);

/// Everything but listing and changelog.
nlohmann::json description_to_json(const ResolvedSource& resolved);
ResolvedSource description_from_json(const nlohmann::json& json);

/// The listing as parts, each a listing of its own that fits a frame.
std::vector<std::string> listing_parts(const Listing& listing);

/// Whether `text` can be the version of a release, and so part of a directory's name.
bool is_release_version(std::string_view text);

}  // namespace mcpu
