#include "daemon/obstacle.hpp"

#include <algorithm>

#include "daemon/durable.hpp"

namespace mcpu {

namespace {

constexpr std::uint64_t kMaxRecognizedBytes = 1 << 20;

/// Whether a file is this application's, by the texts that tell it.
bool recognized(FileSystem& fs, const Application& app, const std::string& path) {
  if (app.recognize.empty()) return true;
  const auto info = fs.info(path);
  if (!info || info->type != FileType::kFile || info->size_bytes > kMaxRecognizedBytes)
    return false;
  const std::string content = read_file(fs, path, kMaxRecognizedBytes);
  return std::ranges::any_of(app.recognize, [&](const std::string& text) {
    return content.find(text) != std::string::npos;
  });
}

/// Whether what stands there is this application, in a checkout or as a file, or leads nowhere.
bool is_application(FileSystem& fs, const Application& app, const EntryPoint& entry,
                    const Standing& standing) {
  if (standing.kind == Standing::Kind::kFile) return recognized(fs, app, entry.link);
  const std::string checkout = checkout_behind(fs, entry, standing);
  if (checkout.empty()) return app.recognize.empty();
  const std::string program = checkout + "/" + entry.path;
  return !fs.info(program) || recognized(fs, app, program);
}

}  // namespace

std::string obstacle(const Tools& tools, const Application& app, const EntryPoint& entry) {
  const EntryPoints entry_points(tools.fs, tools.layout, app.name, {entry}, tools.launcher);
  const Standing standing = entry_points.at_link(entry);
  const std::string link = escape_path(entry.link);
  if (standing.kind == Standing::Kind::kNothing) return "";
  if (standing.kind == Standing::Kind::kOther) {
    return link + " is neither a file nor a link: move it away";
  }
  const std::string foreign = foreign_instance(tools.layout, standing);
  if (!foreign.empty()) {
    return link + " belongs to another instance of mcp-upgraded, with its state in " +
           escape_path(foreign) + ": use that one, or roll it back to before adoption first";
  }
  if (entry_points.leads_to_launcher(entry)) return "";
  if (is_application(tools.fs, app, entry, standing)) return "";
  return link + " is something else than " + app.name +
         " (its content is not recognized): move it away, or set applications." + app.name +
         ".entry_points to another link";
}

}  // namespace mcpu
