#include <algorithm>

#include "daemon/listing.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

constexpr std::size_t kMaxNameBytes = 255;     ///< of one component, as file systems have it
constexpr std::size_t kMaxExpandedLinks = 40;  ///< as the kernel has it
constexpr std::size_t kMaxSteps = 4'000'000;   ///< of all links together: a few seconds at worst

[[noreturn]] void refuse(std::string_view path, const std::string& reason) {
  const std::string shown = escape_path(path);
  throw Error(Code::kSource,
              "the source cannot be installed: '" + shown + "' " + reason +
                  "; remove it from the source, or add it to `exclude` in the configuration",
              {{"path", shown}});
}

bool has_control_characters(std::string_view bytes) {
  return std::any_of(bytes.begin(), bytes.end(), [](char character) {
    const auto byte = static_cast<unsigned char>(character);
    return byte < 0x20 || byte == 0x7F;
  });
}

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> components;
  while (true) {
    const std::size_t slash = path.find('/');
    components.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return components;
    path.remove_prefix(slash + 1);
  }
}

std::string_view parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
}

void check_path(const std::string& path, const TreeLimits& limits) {
  if (path.empty()) refuse(path, "is an empty path");
  if (path.size() > limits.max_path_bytes) refuse(path.substr(0, 200), "... is too long a path");
  if (path.front() == '/') refuse(path, "is an absolute path");
  if (has_control_characters(path)) refuse(path, "has a control character in its name");
  for (const std::string_view name : split(path)) {
    if (name.empty()) refuse(path, "has an empty component");
    if (name == "." || name == "..") refuse(path, "has a '" + std::string(name) + "' component");
    if (name == ".git") refuse(path, "belongs to a git repository's own data");
    if (name.size() > kMaxNameBytes) refuse(path.substr(0, 200), "... has too long a name");
  }
}

/// Walks a link's target through the tree as the kernel would, other links of the tree included.
class LinkWalk {
 public:
  /// `steps` counts those of all walks.
  LinkWalk(const Listing& listing, const ListingEntry& link, std::size_t& steps)
      : listing_(listing), link_(link), steps_(steps) {}

  void check(const TreeLimits& limits) {
    max_depth_ = limits.max_path_bytes / 2 + 1;
    const std::string& target = link_.target;
    if (target.empty()) refuse(link_.path, "is a link to nothing");
    if (target.front() == '/') refuse(link_.path, "is a link to the absolute path " + shown());
    if (has_control_characters(target)) {
      refuse(link_.path, "is a link with a control character in its target");
    }
    if (target.size() > limits.max_path_bytes)
      refuse(link_.path, "is a link with too long a target");
    check_without_links();
    enter_directory_of(link_.path);
    follow(target);
  }

 private:
  std::string shown() const { return "'" + escape_path(link_.target) + "'"; }

  [[noreturn]] void refuse_escape() const {
    refuse(link_.path, "is a link that leads out of the tree, to " + shown());
  }

  /// The target read as text alone. Stricter than the kernel where a link lies on the way, so that
  /// a tool that simplifies paths does not get out either.
  void check_without_links() const {
    std::size_t depth = split(link_.path).size() - 1;
    for (const std::string_view name : split(link_.target)) {
      if (name.empty() || name == ".") continue;
      if (name == ".." && depth == 0) refuse_escape();
      depth = name == ".." ? depth - 1 : depth + 1;
    }
  }

  void enter_directory_of(std::string_view path) {
    at_.clear();
    for (const std::string_view name : split(path)) at_.emplace_back(name);
    at_.pop_back();
  }

  void follow(const std::string& target) {
    if (++expanded_ > kMaxExpandedLinks)
      refuse(link_.path, "is a link that leads round in a circle");
    for (const std::string_view name : split(target)) step(name);
  }

  void step(std::string_view name) {
    if (++steps_ > kMaxSteps) refuse(link_.path, "is one of too many winding links");
    if (name.empty() || name == ".") return;
    if (name == "..") {
      if (at_.empty()) refuse_escape();
      at_.pop_back();
      return;
    }
    if (at_.size() >= max_depth_) refuse(link_.path, "is a link that leads too deep");
    at_.emplace_back(name);
    const ListingEntry* entry = listing_.find(joined());
    if (entry == nullptr || entry->type != EntryType::kLink) return;
    if (entry->target.empty() || entry->target.front() == '/') refuse_escape();
    at_.pop_back();
    follow(entry->target);
  }

  std::string joined() const {
    std::string path;
    for (const std::string& name : at_) path += (path.empty() ? "" : "/") + name;
    return path;
  }

  const Listing& listing_;
  const ListingEntry& link_;
  std::size_t& steps_;
  std::size_t max_depth_ = 0;
  std::vector<std::string> at_;
  std::size_t expanded_ = 0;
};

/// Refuses an entry below something that is no directory.
class ParentCheck {
 public:
  explicit ParentCheck(const Listing& listing) : listing_(listing) {}

  void check(const ListingEntry& entry) {
    const std::string_view directory = parent_of(entry.path);
    if (directory == last_) return;
    last_ = directory;
    for (std::string_view above = directory; !above.empty(); above = parent_of(above)) {
      const ListingEntry* other = listing_.find(above);
      if (other == nullptr) continue;
      refuse(entry.path, std::string("lies below '") + escape_path(above) + "', which is a " +
                             (other->type == EntryType::kLink   ? "link"
                              : other->type == EntryType::kFile ? "file"
                                                                : "directory said to be empty"));
    }
  }

 private:
  const Listing& listing_;
  std::string_view last_;  ///< the directory last looked at: most entries share it with the next
};

void check_sizes(const Listing& listing, const TreeLimits& limits) {
  std::uint64_t total = 0;
  for (const ListingEntry& entry : listing.entries()) {
    if (entry.size_bytes > limits.max_file_bytes) {
      refuse(entry.path, "is larger (" + format_bytes(entry.size_bytes) + ") than a file may be (" +
                             format_bytes(limits.max_file_bytes) + ")");
    }
    total += entry.size_bytes;
    if (total > limits.max_total_bytes) {
      refuse(entry.path, "brings the source above the " + format_bytes(limits.max_total_bytes) +
                             " that it may hold");
    }
  }
}

}  // namespace

void validate(const Listing& listing, const TreeLimits& limits) {
  if (listing.entries().size() > limits.max_entries) {
    refuse(listing.entries()[limits.max_entries].path,
           "is one of " + std::to_string(listing.entries().size()) + " entries, more than the " +
               std::to_string(limits.max_entries) + " that a source may hold");
  }
  ParentCheck parents(listing);
  std::size_t steps = 0;
  const ListingEntry* before = nullptr;
  for (const ListingEntry& entry : listing.entries()) {
    check_path(entry.path, limits);
    if (before != nullptr && before->path == entry.path) refuse(entry.path, "is there twice");
    parents.check(entry);
    if (entry.type == EntryType::kLink) LinkWalk(listing, entry, steps).check(limits);
    before = &entry;
  }
  check_sizes(listing, limits);
}

}  // namespace mcpu
