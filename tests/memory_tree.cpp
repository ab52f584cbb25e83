#include "tests/memory_tree.hpp"

#include <algorithm>
#include <cerrno>
#include <deque>
#include <random>

namespace mcpu {

/// Resolves a path component by component, as the kernel does.
class MemoryTree::Walk {
 public:
  Walk(const MemoryTree& tree, const std::string& path) : tree_(tree) {
    if (path.empty()) throw ENOENT;
    if (path.size() >= kMaxPathBytes) throw ENAMETOOLONG;
    put_before(path);
  }

  Place run(bool follow_last) {
    Place place{at_, ".", at_};
    while (!rest_.empty()) {
      const std::string name = rest_.front();
      rest_.pop_front();
      place = step(name);
      const bool last = rest_.empty();
      if (place.id && tree_.node(*place.id).type == FileType::kLink && (!last || follow_last)) {
        expand(tree_.node(*place.id).data);
        place = {at_, ".", at_};
      } else if (!last) {
        if (!place.id) throw ENOENT;
        at_ = *place.id;
      }
    }
    return place;
  }

 private:
  static constexpr std::size_t kMaxPathBytes = 4096;
  static constexpr std::size_t kMaxNameBytes = 255;
  static constexpr int kMaxLinks = 40;

  Place step(const std::string& name) const {
    const Node& directory = tree_.node(at_);
    if (directory.type != FileType::kDirectory) throw ENOTDIR;
    if (name == ".") return {at_, name, at_};
    if (name == "..") return {at_, name, directory.parent};
    if (name.size() > kMaxNameBytes) throw ENAMETOOLONG;
    const auto found = directory.names.find(name);
    if (found == directory.names.end()) return {at_, name, std::nullopt};
    return {at_, name, found->second};
  }

  void expand(const std::string& target) {
    if (++links_ > kMaxLinks) throw ELOOP;
    put_before(target);
  }

  void put_before(const std::string& path) {
    if (path.front() == '/') at_ = kRoot;
    std::vector<std::string> names;
    std::size_t start = 0;
    while (start < path.size()) {
      const std::size_t end = std::min(path.find('/', start), path.size());
      if (end > start) names.push_back(path.substr(start, end - start));
      start = end + 1;
    }
    if (path.back() == '/') names.emplace_back(".");
    rest_.insert(rest_.begin(), names.begin(), names.end());
  }

  const MemoryTree& tree_;
  std::deque<std::string> rest_;
  Id at_ = kRoot;
  int links_ = 0;
};

MemoryTree::MemoryTree() {
  Node root;
  root.type = FileType::kDirectory;
  root.now.mode = root.durable.mode = 0755;
  root.parent = kRoot;
  root.links = 2;
  nodes_.emplace(kRoot, root);
}

MemoryTree::Id MemoryTree::find(const std::string& path, bool follow) const {
  const Place place = Walk(*this, path).run(follow);
  if (!place.id) throw ENOENT;
  return *place.id;
}

MemoryTree::Id MemoryTree::find_file(const std::string& path) const {
  const Id id = find(path);
  if (node(id).type == FileType::kLink) throw ELOOP;
  if (node(id).type != FileType::kFile) throw EINVAL;
  return id;
}

FileInfo MemoryTree::info(Id id) const {
  const Node& found = node(id);
  return {.type = found.type,
          .mode = found.now.mode,
          .uid = found.now.uid,
          .gid = found.now.gid,
          .size_bytes = found.data.size(),
          .mtime_ns = found.now.mtime_ns,
          .ctime_ns = found.now.ctime_ns,
          .device = 1,
          .inode = id,
          .links = found.links};
}

const MemoryTree::Names& MemoryTree::names(Id directory) const {
  if (node(directory).type != FileType::kDirectory) throw ENOTDIR;
  return node(directory).names;
}

MemoryTree::Place MemoryTree::place(const std::string& path) const {
  return Walk(*this, path).run(false);
}

MemoryTree::Place MemoryTree::free_place(const std::string& path) const {
  Place found = place(path);
  if (found.id) throw EEXIST;
  return found;
}

MemoryTree::Id MemoryTree::make(const std::string& path, FileType type, std::uint32_t mode,
                                std::string data) {
  const Place at = free_place(path);
  Node made;
  made.type = type;
  made.now.mode = mode;
  made.now.mtime_ns = ++clock_;
  made.durable = made.now;
  // A link has its target from the start; a file starts empty and must be synced.
  if (type == FileType::kLink) made.durable_data = data;
  made.data = std::move(data);
  made.links = type == FileType::kDirectory ? 1 : 0;
  const Id id = next_id_++;
  nodes_.emplace(id, std::move(made));
  enter(at.directory, at.name, id);
  return id;
}

void MemoryTree::link(const std::string& existing, const std::string& path) {
  const Id id = find(existing);
  const Place at = free_place(path);
  if (node(id).type == FileType::kDirectory) throw EPERM;
  enter(at.directory, at.name, id);
}

void MemoryTree::check_replaceable(const Node& moved, Id target) const {
  const bool directory = node(target).type == FileType::kDirectory;
  if (moved.type == FileType::kDirectory && !directory) throw ENOTDIR;
  if (moved.type != FileType::kDirectory && directory) throw EISDIR;
  if (!node(target).names.empty()) throw ENOTEMPTY;
}

void MemoryTree::rename(const std::string& from, const std::string& to, bool replace) {
  const Place source = place(from);
  const Place target = place(to);
  if (!source.id) throw ENOENT;
  if (target.id && !replace) throw EEXIST;
  const bool same = target.id == source.id;
  if (!same && contains(*source.id, target.directory)) throw EINVAL;
  if (!same && target.id && contains(*target.id, source.directory)) throw ENOTEMPTY;
  if (same) return;  // POSIX: two names of one file both stay
  if (target.id) {
    check_replaceable(node(*source.id), *target.id);
    leave(target.directory, target.name);
  }
  leave(source.directory, source.name);
  enter(target.directory, target.name, *source.id);
  moves_.push_back({*source.id, source.directory, target.directory, source.name, target.name});
}

void MemoryTree::remove(const std::string& path, bool directory) {
  const Place at = place(path);
  if (!at.id) throw ENOENT;
  const Node& removed = node(*at.id);
  if (directory && removed.type != FileType::kDirectory) throw ENOTDIR;
  if (!directory && removed.type == FileType::kDirectory) throw EISDIR;
  if (!removed.names.empty()) throw ENOTEMPTY;
  if (*at.id == kRoot) throw EBUSY;
  leave(at.directory, at.name);
}

void MemoryTree::set_mode(Id id, std::uint32_t mode) {
  if (node(id).type == FileType::kLink) throw EOPNOTSUPP;
  node(id).now.mode = mode;
  note_change(id);
}

void MemoryTree::set_owner(Id id, std::uint32_t uid, std::uint32_t gid) {
  node(id).now.uid = uid;
  node(id).now.gid = gid;
  note_change(id);
}

void MemoryTree::write(Id file, std::uint64_t offset, std::string_view bytes) {
  if (bytes.empty()) return;
  std::string& data = node(file).data;
  data.resize(std::max<std::size_t>(data.size(), offset + bytes.size()), '\0');
  std::copy(bytes.begin(), bytes.end(), data.begin() + static_cast<std::ptrdiff_t>(offset));
  touch(file);
}

void MemoryTree::truncate(Id file, std::uint64_t size_bytes) {
  node(file).data.resize(size_bytes, '\0');
  touch(file);
}

bool MemoryTree::contains(Id directory, Id inner) const {
  while (inner != directory && inner != kRoot) inner = node(inner).parent;
  return inner == directory;
}

void MemoryTree::enter(Id directory, const std::string& name, Id id) {
  node(directory).names[name] = id;
  ++node(id).links;
  note_change(id);
  if (node(id).type == FileType::kDirectory) {
    node(id).parent = directory;
    ++node(directory).links;
  }
  touch(directory);
}

void MemoryTree::leave(Id directory, const std::string& name) {
  const Id id = node(directory).names.at(name);
  node(directory).names.erase(name);
  --node(id).links;
  note_change(id);
  if (node(id).type == FileType::kDirectory) --node(directory).links;
  touch(directory);
}

void MemoryTree::sync(Id id) {
  Node& synced = node(id);
  synced.durable = synced.now;
  if (!synced.writes_lost) synced.durable_data = synced.data;
  if (synced.type != FileType::kDirectory) return;
  // Whatever was renamed into or out of the directory.
  commit_moves([id](const Move& move) { return move.from == id || move.to == id; });
  synced.durable_names = synced.names;
}

void MemoryTree::commit_moves(const std::function<bool(const Move&)>& chosen) {
  std::vector<Move> committed, pending;
  for (auto move = moves_.rbegin(); move != moves_.rend(); ++move) {
    // Not without those before it, or something would be found in two places, or come back.
    const bool needed = std::ranges::any_of(committed, [&](const Move& later) {
      return later.what == move->what || (later.to == move->to && later.to_name == move->to_name);
    });
    (needed || chosen(*move) ? committed : pending).push_back(*move);
  }
  std::ranges::reverse(committed);
  for (const Move& move : committed) {
    Names& left = node(move.from).durable_names;
    const auto old = left.find(move.from_name);
    if (old != left.end() && old->second == move.what) left.erase(old);
    node(move.to).durable_names[move.to_name] = move.what;
  }
  std::ranges::reverse(pending);
  moves_ = std::move(pending);
}

void MemoryTree::write_some_back(std::uint32_t seed) {
  std::mt19937 random(seed);
  const auto chance = [&] { return random() % 2 == 0; };
  for (auto& [id, one] : nodes_) {
    if (!chance()) continue;
    if (one.type == FileType::kDirectory) {
      sync(id);
    } else {
      one.durable = one.now;
      if (one.writes_lost || one.data == one.durable_data) continue;
      const std::size_t written = random() % (one.data.size() + 1);
      const std::size_t size = chance() ? one.data.size() : one.durable_data.size();
      one.durable_data.resize(std::max(written, size), '\0');
      one.data.copy(one.durable_data.data(), written);
    }
  }
  commit_moves([&](const Move&) { return chance(); });
}

void MemoryTree::cut_power() {
  for (auto& [id, lost] : nodes_) {
    lost.now = lost.durable;
    lost.data = lost.durable_data;
    lost.names = lost.durable_names;
    lost.links = 0;
    lost.writes_lost = false;
  }
  moves_.clear();
  std::map<Id, Node> reached;
  count_links(kRoot, reached);
  reached.at(kRoot).parent = kRoot;
  nodes_ = std::move(reached);
}

void MemoryTree::count_links(Id directory, std::map<Id, Node>& reached) {
  Node& found = reached[directory] = node(directory);
  found.links = 2;
  const Names names = found.names;
  for (const auto& [name, id] : names) {
    if (node(id).type == FileType::kDirectory) {
      count_links(id, reached);
      reached.at(id).parent = directory;
      ++reached.at(directory).links;
    } else {
      reached.try_emplace(id, node(id)).first->second.links += 1;
    }
  }
}

}  // namespace mcpu
