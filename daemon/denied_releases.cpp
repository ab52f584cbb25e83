#include "daemon/denied_releases.hpp"

#include <algorithm>

#include "daemon/durable.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

constexpr std::uint64_t kMaxDeniedBytes = 4 << 20;

}  // namespace

json to_json(const DeniedRelease& denied) {
  return {{"digest", denied.digest},         {"release", denied.release},
          {"version", denied.version},       {"check", denied.check},
          {"reason", denied.reason},         {"job", denied.job},
          {"time", format_time(denied.time)}};
}

DeniedRelease denied_from_json(const json& document) {
  return {document.at("digest"),
          document.at("release"),
          document.at("version"),
          document.at("check"),
          document.at("reason"),
          document.at("job"),
          parse_time(document.at("time").get<std::string>())};
}

std::vector<DeniedRelease> DeniedReleases::list() const {
  std::vector<DeniedRelease> all;
  if (!fs_.info(file_)) return all;
  try {
    const json document = json::parse(read_file(fs_, file_, kMaxDeniedBytes));
    for (const json& one : document.at("denied")) all.push_back(denied_from_json(one));
  } catch (const std::exception& thrown) {
    const auto* error = dynamic_cast<const Error*>(&thrown);
    if (error && error->code() == Code::kIo) throw;  // that names the file
    throw damaged_file(file_, "remove it to forget which releases are denied");
  }
  return all;
}

std::optional<DeniedRelease> DeniedReleases::find(const std::string& digest) const {
  for (DeniedRelease& one : list()) {
    if (one.digest == digest) return std::move(one);
  }
  return std::nullopt;
}

void DeniedReleases::add(const DeniedRelease& denied) {
  auto all = list();
  std::erase_if(all, [&](const DeniedRelease& one) { return one.digest == denied.digest; });
  all.push_back(denied);
  write(all);
}

bool DeniedReleases::clear(const std::string& name) {
  auto all = list();
  const auto removed = std::erase_if(all, [&](const DeniedRelease& one) {
    return one.digest == name || one.release == name || one.version == name;
  });
  if (removed > 0) write(all);
  return removed > 0;
}

void DeniedReleases::write(const std::vector<DeniedRelease>& all) {
  json denied = json::array();
  for (const DeniedRelease& one : all) denied.push_back(to_json(one));
  make_directories(fs_, parent_path(file_), 0755);
  write_durably(fs_, file_, json{{"format", 1}, {"denied", denied}}.dump(1) + "\n", 0600);
}

}  // namespace mcpu
