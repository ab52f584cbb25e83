#include "daemon/pins_and_holds.hpp"

#include "daemon/denied_releases.hpp"
#include "daemon/release_store.hpp"

namespace mcpu {

namespace {

/// The release that is meant, by the name it is marked with.
std::string marked_release(FileSystem& fs, const Layout& layout, const StateStore& state,
                           const MarkRequest& request) {
  const auto& [app, action, name, by] = request;
  DeniedReleases denied(fs, layout, app);
  const bool was_denied = action == "unhold" && !name.empty() && denied.clear(name);
  if (name.empty() || was_denied || state.get()->application(app).holds.contains(name)) return name;
  const std::string release = ReleaseStore(fs, layout, app).find(name);
  if (action == "unhold") denied.clear(release);
  return release;
}

std::string what_is_so(const std::string& action, const std::string& release) {
  if (action == "pin") return "is pinned: it is never removed";
  if (action == "unpin") return "is not pinned";
  if (action == "unhold") return "not held any more";
  return "on hold until 'mcpctl unhold" + (release.empty() ? "" : " " + release) + "'";
}

}  // namespace

nlohmann::json set_mark(FileSystem& fs, const Layout& layout, StateStore& state,
                        const MarkRequest& request) {
  const auto& [app, action, name, by] = request;
  const std::string release = marked_release(fs, layout, state, request);
  state.update([&](State& changed) {
    ApplicationState& marks = changed.applications[app];
    marks.marks_lost = false;
    const Hold hold{"held by " + by, now()};
    if (action == "pin" || action == "unpin") std::erase(marks.pins, release);
    if (action == "pin") marks.pins.push_back(release);
    if (action == "hold" && release.empty()) marks.paused = hold;
    if (action == "hold" && !release.empty()) marks.holds[release] = hold;
    if (action == "unhold" && release.empty()) marks.paused.reset();
    if (action == "unhold") marks.holds.erase(release);
  });
  const std::string what = release.empty() ? "unattended upgrades of " + app : "release " + release;
  nlohmann::json reply{{"app", app}, {"message", what + " " + what_is_so(action, release)}};
  if (!release.empty()) reply["release"] = release;
  return reply;
}

}  // namespace mcpu
