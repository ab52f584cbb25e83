#include "daemon/durable.hpp"
#include "daemon/release_store.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

/// What an error says of a file that it names itself.
std::string without_name(const std::string& text, const std::string& file) {
  if (!text.starts_with(file)) return "cannot be read: " + text;
  const std::size_t begin = text.find_first_not_of(": ", file.size());
  return begin == std::string::npos ? text : text.substr(begin);
}

/// What is wrong with one of the release's own files: with what lies there, or with its content,
/// which `read` tells or throws. Empty: nothing.
template <typename Read>
std::string file_problem(FileSystem& fs, const std::string& file, Read read) {
  try {
    const auto info = fs.info(file);
    if (!info) return "missing";
    if (info->type != FileType::kFile) return "is not a file";
    if (info->size_bytes == 0) return "is empty";
    return read();
  } catch (const Error& error) {
    return without_name(error.what(), file);
  }
}

}  // namespace

std::vector<Damage> ReleaseStore::exec_damage(const std::string& id,
                                              const ReleaseInfo& info) const {
  const std::string directory = path(id) + "/exec";
  std::vector<Damage> damages;
  const auto look_at = [&](const std::string& name, const Sha256* digest) {
    const std::string file = directory + "/" + name;
    const std::string problem = file_problem(fs_, file, [&] {
      const bool same = !digest || hash_file(*fs_.open(file)) == *digest;
      return same ? "" : "content differs";
    });
    if (!problem.empty()) damages.push_back({escape_path(file), problem});
  };
  try {
    for (const std::string& name : fs_.list(directory)) {
      if (info.exec.empty()) {
        look_at(name, nullptr);
      } else if (!info.exec.contains(name)) {
        damages.push_back({escape_path(directory + "/" + name), "not part of the release"});
      }
    }
    for (const auto& [name, digest] : info.exec) look_at(name, &digest);
  } catch (const Error& error) {
    damages.push_back({escape_path(directory), without_name(error.what(), directory)});
  }
  return damages;
}

std::vector<Damage> ReleaseStore::verify(const std::string& id) const {
  if (!exists(id)) throw Error(Code::kNotFound, "there is no release " + id, {{"what", id}});
  const std::string description = path(id) + "/release.json", list = path(id) + "/listing";
  std::vector<Damage> damages;
  ReleaseInfo info;
  Listing expected;
  const auto read_own = [&](const std::string& file, const std::function<std::string()>& read) {
    const std::string problem = file_problem(fs_, file, read);
    if (!problem.empty()) damages.push_back({escape_path(file), problem});
  };
  read_own(description, [&] {
    info = read(id);
    const bool own = info.id == id && id.starts_with(make_id(info.version, info.digest));
    return own ? "" : "tells of another release";
  });
  read_own(list, [&] {
    expected = listing(id);
    const bool own = !damages.empty() || expected.digest() == info.digest;
    return own ? "" : "differs from the release's digest";
  });
  // Without these two nobody knows what the rest should be.
  if (!damages.empty()) return damages;
  damages = exec_damage(id, info);
  const std::string lock = path(id) + "/in-use";
  const auto lock_info = fs_.info(lock);
  if (!lock_info || lock_info->type != FileType::kFile) {
    damages.push_back({escape_path(lock), lock_info ? "is not a file" : "missing"});
  }
  for (Damage& damage : verify_tree(fs_, layout_.tree(app_, id), expected)) {
    damages.push_back(std::move(damage));
  }
  return damages;
}

Marks ReleaseStore::mark(const std::string& id) const { return mark_tree(fs_, path(id)); }

std::vector<Damage> ReleaseStore::damage_since(const std::string& id, const Marks& marks) const {
  if (!exists(id)) return {{escape_path(path(id)), "missing"}};
  try {
    if (mark(id) == marks) return {};
  } catch (const Error&) {
    // A directory that cannot be listed any more: named below.
  }
  return verify(id);
}

}  // namespace mcpu
