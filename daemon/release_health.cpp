#include "daemon/release_health.hpp"

#include "proto/error.hpp"

namespace mcpu {

const Health* known_damage(const ApplicationState& state, const std::string& release) {
  const auto health = state.health.find(release);
  return health == state.health.end() || health->second.passed ? nullptr : &health->second;
}

void remember_compared(StateStore& state, const ReleaseStore& store, const std::string& app,
                       const std::map<std::string, std::string>& compared) {
  std::map<std::string, Health> news;
  const auto present = state.get();
  const auto& health = present->application(app).health;
  for (const auto& [release, damage] : compared) {
    const auto known = health.find(release);
    const bool known_good = known == health.end() || known->second.passed;
    if (damage.empty() == known_good || !store.exists(release)) continue;
    news[release] = {damage.empty(), damage.empty() ? "compared: whole" : damage, now()};
  }
  if (news.empty() || !state.damage().empty()) return;
  try {
    state.update([&](State& changed) {
      for (const auto& [release, one] : news) changed.applications[app].health[release] = one;
    });
  } catch (const Error&) {
    // It is found again when it is looked for again.
  }
}

void remember_verified(StateStore& state, FileSystem& fs, const Layout& layout,
                       const nlohmann::json& status) {
  for (const nlohmann::json& one : status.at("applications")) {
    const std::string app = one.at("app");
    std::map<std::string, std::string> compared;
    for (const char* key : {"verified", "verified_back"}) {
      if (!one.contains(key)) continue;
      const nlohmann::json& damaged = one.at(key).at("damaged");
      compared[one.at(key).at("release")] = damaged.empty() ? "" : damaged.at(0);
    }
    remember_compared(state, ReleaseStore(fs, layout, app), app, compared);
  }
}

}  // namespace mcpu
