#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/file_system.hpp"
#include "daemon/layout.hpp"
#include "daemon/listing.hpp"
#include "daemon/release_marks.hpp"
#include "daemon/source.hpp"

namespace mcpu {

/// release.json: where a release comes from and what it is.
struct ReleaseInfo {
  std::string id;  ///< its directory's name: version, '-', the start of the digest
  std::string version;
  std::string origin;  ///< location of the source
  std::string commit;
  Sha256 digest;
  TimePoint time{};  ///< when it was staged
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::string changelog;
  std::map<std::string, Sha256> exec;  ///< of exec/NAME, by name; empty: nobody wrote them down
};

/// The options with which `mcpctl upgrade` takes a release from its source again: its version, its
/// commit where no tag has that name, and --force for a source that knows no versions.
std::string upgrade_options(const ReleaseInfo& release);

/// What the launcher executes for one entry point: exec/NAME.
struct ExecSpec {
  std::string name;
  std::string path;  ///< within the tree
  std::map<std::string, std::string> environment;
};

/// What staging did.
struct StageReport {
  std::size_t files = 0;
  std::size_t written = 0;  ///< the others share the content of the release before
  std::uint64_t written_bytes = 0;
};

/// A release to be staged.
struct StageOrder {
  ReleaseInfo info;
  const Listing* listing = nullptr;
  std::vector<ExecSpec> exec;
  std::string reuse;  ///< release whose unchanged files are shared; empty: none
};

/// The immutable releases of one application. Job thread for what changes, any thread for reading.
class ReleaseStore {
 public:
  ReleaseStore(FileSystem& fs, const Layout& layout, std::string app);

  /// The ID a release of this version and content gets.
  static std::string make_id(const std::string& version, const Sha256& digest);
  /// The version in such an ID.
  static std::string version_in(const std::string& id) { return id.substr(0, id.rfind('-')); }

  /// The release that the link `current` names; empty when the link is missing or names none that
  /// is there. Error{kCorrupt} when it is no link.
  std::optional<std::string> current() const;
  /// What is wrong with the link. REQUIRES: current() is empty.
  std::string current_problem() const;
  std::vector<std::string> list() const;
  bool exists(const std::string& id) const;
  /// The release that a person means: its whole ID, its version, or the start of its ID up to a
  /// '-', each with or without a leading "v". Error{kNotFound} when there is none, or more than
  /// one.
  std::string find(const std::string& name) const;
  /// Throws Error{kNotFound} or {kCorrupt}.
  ReleaseInfo read(const std::string& id) const;
  /// The same, but of a release whose release.json cannot be read what its name tells: ID and
  /// version. Throws Error{kNotFound}.
  ReleaseInfo describe(const std::string& id) const;
  /// Throws Error{kCorrupt} or {kIo} naming the file.
  Listing listing(const std::string& id) const;
  /// What the launcher executes for each entry point, exactly as it was staged. Throws
  /// Error{kCorrupt} or {kIo} naming the file that is not.
  std::vector<ExecSpec> exec(const std::string& id) const;
  /// What keeps the launcher from executing the release's program for this entry point, from a
  /// look at that one file; empty: nothing.
  std::string program_problem(const std::string& id, const std::string& entry) const;
  /// Compares every file with its digest, what the launcher reads included, and the listing with
  /// the release's. Files outside of the tree are named by their whole path. Throws
  /// Error{kNotFound}.
  std::vector<Damage> verify(const std::string& id) const;
  /// How everything of the release lies there now, from one look at each file.
  Marks mark(const std::string& id) const;
  /// What is damaged of a release that was whole when it was marked. Compares contents only if a
  /// look at each file shows that anything was touched since.
  std::vector<Damage> damage_since(const std::string& id, const Marks& marks) const;

  using ReadContents =
      std::function<void(const std::vector<std::size_t>& indexes,
                         const std::function<void(std::size_t, std::string_view, bool)>& sink)>;
  using Progress = std::function<void(std::size_t done, std::size_t total, std::uint64_t bytes)>;
  /// Builds the release beside the others as `.staging-JOB`, syncs it and renames it into place.
  /// REQUIRES: !exists(order.info.id).
  StageReport stage(JobId job, const StageOrder& order, const ReadContents& read_contents,
                    const Progress& progress);
  /// Removes what an interrupted stage() of this job left, and the release if it got that far;
  /// false if a process still runs from that, so that it stays until a later job prunes it.
  bool unstage(JobId job, const std::string& id);

  /// Points `current` to the release; an empty ID removes the link.
  void switch_to(const std::string& id);
  /// Removes a release unless a process runs from it: false then.
  bool remove(const std::string& id);
  /// Whether a process still runs from the release.
  bool in_use(const std::string& id) const;
  /// Removes half-built and half-removed releases. REQUIRES: no job is unfinished.
  void clean();

 private:
  std::string path(const std::string& id) const { return layout_.release(app_, id); }
  std::string staging(JobId job) const;
  void share(class TreeBuilder& builder, const std::string& donor) const;
  std::vector<Damage> exec_damage(const std::string& id, const ReleaseInfo& info) const;

  FileSystem& fs_;
  Layout layout_;
  std::string app_;
};

}  // namespace mcpu
