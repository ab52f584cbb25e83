#pragma once

#include <string>
#include <vector>

namespace mcpu {

/// Which paths of a source are left out. A pattern is a glob (fnmatch) that
/// - without a '/' matches the name of a file or directory anywhere,
/// - with a '/' matches the path from the top of the tree, where `*` and `?` do not match a '/',
/// - with a '/' at its end matches directories only.
/// Whatever is in an excluded directory is excluded with it.
class Exclusion {
 public:
  explicit Exclusion(const std::vector<std::string>& patterns);

  /// Whether the thing at this path is left out; the directories above it are not looked at.
  bool covers(const std::string& path, bool is_directory) const;
  /// Whether the file at this path is left out, itself or with a directory above it.
  bool covers_file(const std::string& path) const;

 private:
  struct Pattern {
    std::string glob;
    bool whole_path;
    bool directories_only;
  };
  std::vector<Pattern> patterns_;
};

/// What never belongs to a release taken from files on disk: `.git`, `backups/` at the top,
/// `.env*`,
/// `__pycache__/` and `*.pyc`.
std::vector<std::string> with_built_in_exclusions(std::vector<std::string> patterns);

}  // namespace mcpu
