#include "daemon/worker/exclusion.hpp"

#include <fnmatch.h>

namespace mcpu {

Exclusion::Exclusion(const std::vector<std::string>& patterns) {
  for (const auto& text : patterns) {
    Pattern pattern{text, false, text.ends_with('/')};
    while (pattern.glob.ends_with('/')) pattern.glob.pop_back();
    pattern.whole_path = pattern.glob.find('/') != std::string::npos;
    pattern.glob.erase(0, pattern.glob.find_first_not_of('/'));
    if (!pattern.glob.empty()) patterns_.push_back(std::move(pattern));
  }
}

bool Exclusion::covers(const std::string& path, bool is_directory) const {
  const std::size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  for (const auto& pattern : patterns_) {
    if (pattern.directories_only && !is_directory) continue;
    const std::string& subject = pattern.whole_path ? path : name;
    if (fnmatch(pattern.glob.c_str(), subject.c_str(), FNM_PATHNAME) == 0) return true;
  }
  return false;
}

bool Exclusion::covers_file(const std::string& path) const {
  for (std::size_t end = path.find('/'); end != std::string::npos; end = path.find('/', end + 1)) {
    if (covers(path.substr(0, end), true)) return true;
  }
  return covers(path, false);
}

std::vector<std::string> with_built_in_exclusions(std::vector<std::string> patterns) {
  patterns.insert(patterns.end(), {".git", "/backups/", ".env*", "__pycache__/", "*.pyc"});
  return patterns;
}

}  // namespace mcpu
