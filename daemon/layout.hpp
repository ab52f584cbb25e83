#pragma once

#include <string>

#include "proto/event.hpp"

namespace mcpu {

/// Where everything lies below the state directory. Pure names; nothing is touched.
struct Layout {
  std::string state;  ///< the state directory, absolute
  std::string cache;  ///< clone caches

  std::string lock_file() const { return state + "/lock"; }
  std::string state_file() const { return state + "/state.json"; }
  std::string journal() const { return state + "/journal"; }
  std::string jobs() const { return state + "/jobs"; }
  std::string job(JobId id) const { return jobs() + "/" + std::to_string(id); }
  std::string job_file(JobId id) const { return job(id) + "/job.json"; }
  std::string events(JobId id) const { return job(id) + "/events.ndjson"; }
  std::string snapshots() const { return state + "/snapshots"; }
  std::string snapshot(JobId id) const { return snapshots() + "/" + std::to_string(id); }
  std::string scratch(JobId id) const { return state + "/scratch/" + std::to_string(id); }
  std::string launch(const std::string& app) const { return state + "/launch/" + app; }
  std::string launcher(const std::string& app, const std::string& name) const {
    return launch(app) + "/" + name;
  }
  std::string app(const std::string& app) const { return state + "/apps/" + app; }
  std::string current(const std::string& app) const { return this->app(app) + "/current"; }
  std::string releases(const std::string& app) const { return this->app(app) + "/releases"; }
  std::string release(const std::string& app, const std::string& id) const {
    return releases(app) + "/" + id;
  }
  std::string tree(const std::string& app, const std::string& id) const {
    return release(app, id) + "/tree";
  }
  std::string adoption(const std::string& app) const { return this->app(app) + "/adoption"; }
  std::string denied(const std::string& app) const { return this->app(app) + "/denied.json"; }
  std::string app_cache(const std::string& app) const { return cache + "/" + app; }
};

/// How the programs were started: which instance, and where its things are.
struct Instance {
  bool user_mode = true;
  std::string config_file;
  bool config_required = false;  ///< named on the command line: must exist
  std::string socket;
  Layout layout;
  std::string link_directory;  ///< for the default application's entry points
};

/// What the command line and environment say, for both programs. Options are empty if not given.
struct InstanceOptions {
  bool user = false;
  bool system = false;
  std::string config_file;
  std::string state_directory;
  std::string socket;
};

/// User mode: the XDG directories with their usual defaults (relative values are ignored as the
/// specification says); without a runtime directory the socket is in STATE/run/. System mode: /etc,
/// /run, /var/lib, /var/cache. Throws Error{kUsage} when HOME is needed and missing.
Instance user_instance(const InstanceOptions& options);
Instance system_instance(const InstanceOptions& options);

}  // namespace mcpu
