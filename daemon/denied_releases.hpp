#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/file_system.hpp"
#include "daemon/layout.hpp"

namespace mcpu {

/// A release whose checks failed where the one before passed.
struct DeniedRelease {
  std::string digest;  ///< hex
  std::string release;
  std::string version;
  std::string check;
  std::string reason;
  JobId job = 0;
  TimePoint time{};
};
nlohmann::json to_json(const DeniedRelease& denied);
DeniedRelease denied_from_json(const nlohmann::json& json);

/// apps/APP/denied.json: releases that nothing tries again unless told to, by content. Any thread;
/// a file that cannot be read is Error{kCorrupt}.
class DeniedReleases {
 public:
  DeniedReleases(FileSystem& fs, const Layout& layout, const std::string& app)
      : fs_(fs), file_(layout.denied(app)) {}

  std::vector<DeniedRelease> list() const;
  std::optional<DeniedRelease> find(const std::string& digest) const;
  /// Durable; adding the same digest again replaces it.
  void add(const DeniedRelease& denied);
  /// Clears the marks of a digest, or of a release or version of this name; whether there was one.
  bool clear(const std::string& name);

 private:
  void write(const std::vector<DeniedRelease>& all);

  FileSystem& fs_;
  std::string file_;
};

}  // namespace mcpu
