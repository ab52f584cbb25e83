#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "daemon/file_system.hpp"
#include "daemon/layout.hpp"
#include "daemon/state_store.hpp"

namespace mcpu {

/// What somebody wants to be remembered of a release.
struct MarkRequest {
  std::string app;
  std::string action;   ///< pin, unpin, hold or unhold
  std::string release;  ///< a release or version; empty: hold and unhold all unattended upgrades
  std::string by;       ///< whose wish it is
};

/// Sets or clears a mark, durably; returns the protocol's reply. `unhold` clears the mark of a
/// failed check, too, and takes the name of a release that is not on disk any more. Throws
/// Error{kNotFound} for a release that is neither here nor marked. Any thread.
nlohmann::json set_mark(FileSystem& fs, const Layout& layout, StateStore& state,
                        const MarkRequest& request);

}  // namespace mcpu
