#pragma once

#include <map>
#include <string>

#include "daemon/release_store.hpp"
#include "daemon/state_store.hpp"

namespace mcpu {

/// What is known to be damaged of a release; null: nothing. As long as the state lives.
const Health* known_damage(const ApplicationState& state, const std::string& release);

/// Remembers what comparing stored releases found: the first damage of each, or nothing. Writes the
/// state only for news, that is a damaged release or a damaged one that is whole again; a state
/// that cannot be written keeps nobody from going on. Any thread.
void remember_compared(StateStore& state, const ReleaseStore& store, const std::string& app,
                       const std::map<std::string, std::string>& compared);

/// The same for a reply of Status that tells of comparisons.
void remember_verified(StateStore& state, FileSystem& fs, const Layout& layout,
                       const nlohmann::json& status);

}  // namespace mcpu
