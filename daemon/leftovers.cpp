#include "daemon/leftovers.hpp"

#include "daemon/durable.hpp"

namespace mcpu {

namespace {

bool is_temporary(const std::string& name) {
  return name.starts_with(".") && name.ends_with(".tmp");
}

void sweep(FileSystem& fs, const std::string& directory) {
  if (!fs.info(directory)) return;
  for (const std::string& name : fs.list(directory)) {
    if (is_temporary(name)) remove_tree(fs, directory + "/" + name);
  }
}

/// The directory itself and those in it, one level down.
void sweep_children(FileSystem& fs, const std::string& directory) {
  if (!fs.info(directory)) return;
  sweep(fs, directory);
  for (const std::string& name : fs.list(directory)) {
    const auto info = fs.info(directory + "/" + name);
    if (info && info->type == FileType::kDirectory) sweep(fs, directory + "/" + name);
  }
}

}  // namespace

void remove_leftovers(FileSystem& fs, const Layout& layout,
                      const std::vector<EntryPoint>& entries) {
  sweep(fs, layout.state);
  sweep_children(fs, layout.jobs());
  sweep_children(fs, layout.state + "/launch");
  const std::string apps = layout.state + "/apps";
  sweep_children(fs, apps);
  if (fs.info(apps)) {
    for (const std::string& app : fs.list(apps)) sweep(fs, layout.adoption(app));
  }
  for (const EntryPoint& entry : entries) {
    const std::string temporary = parent_path(entry.link) + "/." + base_name(entry.link) + ".tmp";
    const auto info = fs.info(temporary);
    if (info) remove_tree(fs, temporary);
  }
}

}  // namespace mcpu
