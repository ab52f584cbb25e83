#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/configuration.hpp"
#include "daemon/file_system.hpp"
#include "daemon/layout.hpp"

namespace mcpu {

/// What stands at a path where an entry point or a launcher belongs.
struct Standing {
  enum class Kind { kNothing, kLink, kFile, kOther };
  std::string path;
  Kind kind = Kind::kNothing;
  std::string target;  ///< of a link
  std::uint32_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::int64_t mtime_ns = 0;
  Sha256 content;  ///< of a file
};

/// An application's commands on PATH: links to launchers in the state directory. Reading methods
/// may be called from any thread, changing ones on the job thread.
class EntryPoints {
 public:
  /// `launcher` is the mcp-launch program that is copied for each entry point.
  EntryPoints(FileSystem& fs, const Layout& layout, std::string app,
              std::vector<EntryPoint> entries, std::string launcher);

  /// Every launcher is ours, whole, and every link leads to it.
  bool in_place() const;
  /// What is not in place of one entry point, in one sentence with its remedy; empty: nothing.
  std::string problem(const EntryPoint& entry) const;
  /// The same of all.
  std::vector<std::string> problems() const;
  /// Whether the entry point's link on PATH leads to its launcher.
  bool leads_to_launcher(const EntryPoint& entry) const;
  /// Whether what record() saved in `directory` stands at every link.
  bool stands_as_recorded(const std::string& directory) const;
  /// What stands at an entry point's link now.
  Standing at_link(const EntryPoint& entry) const;

  /// Saves what stands at every link and launcher in `directory`, durably; what has been saved
  /// there already is left alone, so that it can be repeated after a crash.
  void record(const std::string& directory);
  /// Writes launchers, then links. Idempotent. REQUIRES: record() was done.
  void install();
  /// Puts back exactly what record() saved. A link that is neither ours nor as recorded is
  /// somebody's own work and stays; its path is returned. Idempotent; nothing recorded is nothing
  /// to do.
  std::vector<std::string> put_back(const std::string& directory);

  /// The checkout that the links led into when they were recorded in `directory`; empty if none.
  std::string recorded_checkout(const std::string& directory) const;
  /// The same; where none was recorded, the checkout that the links lead into now.
  std::string checkout(const std::string& directory) const;
  /// What to mend if what stood there when it was recorded in `directory` fails: that checkout,
  /// else what the first link led to, else the file that stood there itself. Empty: nothing stood
  /// there.
  std::string recorded_origin(const std::string& directory) const;

 private:
  std::vector<Standing> read_record(const std::string& directory) const;
  Standing look(const std::string& path) const;
  void restore(const Standing& standing, const std::string& directory);
  bool is_link(const std::string& path) const;
  /// For what stands as it should already: an attempt before this one may not have made it durable.
  void sync_beside(const std::string& path);
  bool launcher_whole(const EntryPoint& entry) const;
  std::vector<std::string> places() const;

  FileSystem& fs_;
  Layout layout_;
  std::string app_;
  std::vector<EntryPoint> entries_;
  std::string launcher_;
};

/// The checkout that a link leads into: its target without the entry point's path within the tree;
/// empty when it does not end like that. Follows links to links.
std::string checkout_behind(FileSystem& fs, const EntryPoint& entry, const Standing& standing);

/// The first program of this name on the daemon's own PATH, which in user mode is the user's; empty
/// if there is none.
std::string first_on_path(FileSystem& fs, const std::string& name);
/// The line for a shell's profile that puts an entry point's directory first.
std::string path_line(const EntryPoint& entry);

/// Names the other instance whose launcher a link leads to; empty if it leads to none.
std::string foreign_instance(const Layout& layout, const Standing& standing);

}  // namespace mcpu
