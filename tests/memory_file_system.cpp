#include "tests/memory_file_system.hpp"

#include <algorithm>
#include <cerrno>

#include "proto/error.hpp"
#include "tests/memory_locks.hpp"

namespace mcpu {

/// An open file, for reading or writing. Stays usable when its name is removed.
class MemoryFileSystem::Input final : public InputFile {
 public:
  Input(MemoryFileSystem& fs, MemoryTree::Id id, std::string path)
      : fs_(fs), id_(id), process_(fs.process_), path_(std::move(path)) {}

  std::size_t read_at(std::uint64_t offset, char* buffer, std::size_t size) const override {
    const std::lock_guard guard(fs_.mutex_);
    if (process_ != fs_.process_) throw SimulatedCrash();
    fs_.look("read", path_);
    const std::string& content = fs_.tree_.content(id_);
    const std::size_t start = std::min<std::size_t>(offset, content.size());
    return content.copy(buffer, size, start);
  }

  FileInfo info() const override {
    const std::lock_guard guard(fs_.mutex_);
    if (process_ != fs_.process_) throw SimulatedCrash();
    return fs_.tree_.info(id_);
  }

 private:
  MemoryFileSystem& fs_;
  const MemoryTree::Id id_;
  const std::uint64_t process_;
  const std::string path_;
};

class MemoryFileSystem::Output final : public OutputFile {
 public:
  Output(MemoryFileSystem& fs, MemoryTree::Id id, std::string path)
      : fs_(fs), id_(id), process_(fs.process_), path_(std::move(path)) {}

  void write_at(std::uint64_t offset, std::string_view bytes) override {
    const std::lock_guard guard(fs_.mutex_);
    const int fault = strike("write ");
    if (fault != 0) bytes = bytes.substr(0, bytes.size() / 2);
    fs_.tree_.write(id_, offset, bytes);
    if (fault != 0) fs_.fail(fault, "write", path_);
  }

  void truncate(std::uint64_t size_bytes) override {
    const std::lock_guard guard(fs_.mutex_);
    if (const int fault = strike("truncate ")) fs_.fail(fault, "truncate", path_);
    fs_.tree_.truncate(id_, size_bytes);
  }

  void sync() override {
    const std::lock_guard guard(fs_.mutex_);
    if (const int fault = strike("sync ")) {
      if (fault != kCrash) fs_.tree_.lose_writes(id_);
      fs_.fail(fault, "sync", path_);
    }
    fs_.tree_.sync(id_);
  }

 private:
  int strike(const char* what) {
    if (process_ != fs_.process_) throw SimulatedCrash();
    return fs_.strike(what + path_);
  }

  MemoryFileSystem& fs_;
  const MemoryTree::Id id_;
  const std::uint64_t process_;
  const std::string path_;
};

MemoryFileSystem::MemoryFileSystem() : locks_(std::make_shared<MemoryLocks>()) {}
MemoryFileSystem::~MemoryFileSystem() = default;

void MemoryFileSystem::fail_at(std::uint64_t call, int errno_value, std::uint64_t count) {
  const std::lock_guard guard(mutex_);
  faults_.first = call;
  faults_.end = call + count;
  faults_.errno_value = errno_value;
}

void MemoryFileSystem::fail_look_at(std::uint64_t call, int errno_value, std::uint64_t count) {
  const std::lock_guard guard(mutex_);
  faults_.first_look = call;
  faults_.end_look = call + count;
  faults_.look_errno = errno_value;
}

void MemoryFileSystem::fail_below(const std::string& top, std::uint64_t call, int errno_value,
                                  std::uint64_t count) {
  const std::lock_guard guard(mutex_);
  faults_.top = top;
  faults_.left = call;
  faults_.count = count;
  faults_.errno_value = errno_value;
}

void MemoryFileSystem::crash_at(std::uint64_t call) {
  const std::lock_guard guard(mutex_);
  faults_.crash = call;
  program_ = std::this_thread::get_id();
}

void MemoryFileSystem::restart(Loss loss, std::uint32_t seed) {
  const std::lock_guard guard(mutex_);
  if (loss == Loss::kSome) tree_.write_some_back(seed);
  if (loss != Loss::kNothing) tree_.cut_power();
  faults_ = {};
  down_ = false;
  trace_.clear();
  looks_ = 0;
  locks_ = std::make_shared<MemoryLocks>();
  ++process_;
}

void MemoryFileSystem::set_space(const SpaceInfo& space) {
  const std::lock_guard guard(mutex_);
  space_ = space;
}

void MemoryFileSystem::set_reflinks(bool possible) {
  const std::lock_guard guard(mutex_);
  reflinks_ = possible;
}

std::vector<std::string> MemoryFileSystem::trace() const {
  const std::lock_guard guard(mutex_);
  return trace_;
}

std::uint64_t MemoryFileSystem::looks() const {
  const std::lock_guard guard(mutex_);
  return looks_;
}

bool MemoryFileSystem::down() const {
  const std::lock_guard guard(mutex_);
  return down_;
}

std::unique_ptr<MemoryFileSystem> MemoryFileSystem::copy() const {
  auto other = std::make_unique<MemoryFileSystem>();
  const std::lock_guard guard(mutex_);
  other->tree_ = tree_;
  other->space_ = space_;
  other->reflinks_ = reflinks_;
  return other;
}

int MemoryFileSystem::strike(const std::string& call) {
  if (down_) crash(call);
  trace_.push_back(call);
  const std::uint64_t number = trace_.size();
  if (number >= faults_.crash) return kCrash;
  const bool below = !faults_.top.empty() && call.find(' ' + faults_.top) != call.npos;
  if (below && faults_.left > 1) {
    --faults_.left;
  } else if (below) {
    if (--faults_.count == 0) faults_.top.clear();
    return faults_.errno_value;
  }
  return number >= faults_.first && number < faults_.end ? faults_.errno_value : 0;
}

void MemoryFileSystem::look(const char* action, const std::string& path) {
  ++looks_;
  if (looks_ < faults_.first_look || looks_ >= faults_.end_look) return;
  throw io_error(action, path, faults_.look_errno);
}

void MemoryFileSystem::fail(int fault, const char* action, const std::string& path) {
  if (fault != kCrash) throw io_error(action, path, fault);
  down_ = true;
  crash(path);
}

void MemoryFileSystem::crash(const std::string& call) const {
  if (std::this_thread::get_id() == program_) throw SimulatedCrash();
  throw io_error("do in a program that was stopped", call, EIO);
}

template <typename Call>
auto MemoryFileSystem::run(const char* action, const std::string& path, Call call) {
  try {
    return call();
  } catch (const int errno_value) {
    throw io_error(action, path, errno_value);
  }
}

template <typename Change>
auto MemoryFileSystem::change(const char* action, const std::string& path, const std::string& more,
                              Change change) {
  const std::lock_guard guard(mutex_);
  const int fault = strike(std::string(action) + " " + path + (more.empty() ? "" : " " + more));
  if (fault != 0) fail(fault, action, path);
  return run(action, path, change);
}

std::optional<FileInfo> MemoryFileSystem::info(const std::string& path) {
  const std::lock_guard guard(mutex_);
  look("examine", path);
  try {
    return tree_.info(tree_.find(path));
  } catch (const int errno_value) {
    if (errno_value == ENOENT || errno_value == ENOTDIR) return std::nullopt;
    throw io_error("examine", path, errno_value);
  }
}

std::vector<std::string> MemoryFileSystem::list(const std::string& path) {
  const std::lock_guard guard(mutex_);
  look("list", path);
  return run("list", path, [&] {
    std::vector<std::string> names;
    for (const auto& [name, id] : tree_.names(tree_.find(path))) names.push_back(name);
    return names;
  });
}

std::string MemoryFileSystem::read_link(const std::string& path) {
  const std::lock_guard guard(mutex_);
  look("read the link", path);
  return run("read the link", path, [&] {
    const MemoryTree::Id id = tree_.find(path);
    if (tree_.info(id).type != FileType::kLink) throw EINVAL;
    return tree_.content(id);
  });
}

std::unique_ptr<InputFile> MemoryFileSystem::open(const std::string& path) {
  const std::lock_guard guard(mutex_);
  look("open", path);
  return run("open", path,
             [&] { return std::make_unique<Input>(*this, tree_.find_file(path), path); });
}

SpaceInfo MemoryFileSystem::space(const std::string& path) {
  const std::lock_guard guard(mutex_);
  look("measure the space at", path);
  run("measure the space at", path, [&] { return tree_.find(path, true); });
  return space_;
}

bool MemoryFileSystem::writable(const std::string& directory) {
  const std::lock_guard guard(mutex_);
  try {
    return tree_.info(tree_.find(directory + "/.")).type == FileType::kDirectory &&
           !space_.read_only;
  } catch (const int) {
    return false;
  }
}

std::unique_ptr<OutputFile> MemoryFileSystem::create(const std::string& path, std::uint32_t mode) {
  return change("create", path, "", [&] {
    return std::make_unique<Output>(*this, tree_.make(path, FileType::kFile, mode, ""), path);
  });
}

std::unique_ptr<OutputFile> MemoryFileSystem::open_output(const std::string& path) {
  return change("open for writing", path, "",
                [&] { return std::make_unique<Output>(*this, tree_.find_file(path), path); });
}

void MemoryFileSystem::make_directory(const std::string& path, std::uint32_t mode) {
  change("create the directory", path, "",
         [&] { tree_.make(path, FileType::kDirectory, mode, ""); });
}

void MemoryFileSystem::make_link(const std::string& target, const std::string& path) {
  constexpr std::uint32_t kLinkMode = 0777;
  change("create the link", path, target, [&] {
    if (target.empty()) throw ENOENT;
    tree_.make(path, FileType::kLink, kLinkMode, target);
  });
}

void MemoryFileSystem::hard_link(const std::string& existing, const std::string& path) {
  change("create the hard link", path, existing, [&] { tree_.link(existing, path); });
}

bool MemoryFileSystem::reflink(const std::string& existing, const std::string& path,
                               std::uint32_t mode) {
  return change("reflink", path, existing, [&] {
    const std::string content = tree_.content(tree_.find_file(existing));
    if (reflinks_) tree_.make(path, FileType::kFile, mode, content);
    return reflinks_;
  });
}

void MemoryFileSystem::rename(const std::string& from, const std::string& to, IfExists if_exists) {
  change("rename", to, from, [&] { tree_.rename(from, to, if_exists == IfExists::kReplace); });
}

void MemoryFileSystem::remove_file(const std::string& path) {
  change("remove", path, "", [&] { tree_.remove(path, false); });
}

void MemoryFileSystem::remove_directory(const std::string& path) {
  change("remove the directory", path, "", [&] { tree_.remove(path, true); });
}

void MemoryFileSystem::set_mode(const std::string& path, std::uint32_t mode) {
  change("change the mode of", path, "", [&] { tree_.set_mode(tree_.find(path), mode); });
}

void MemoryFileSystem::set_owner(const std::string& path, std::uint32_t uid, std::uint32_t gid) {
  change("change the owner of", path, "", [&] { tree_.set_owner(tree_.find(path), uid, gid); });
}

void MemoryFileSystem::set_times(const std::string& path, std::int64_t mtime_ns) {
  change("change the time of", path, "", [&] { tree_.set_mtime(tree_.find(path), mtime_ns); });
}

void MemoryFileSystem::sync_directory(const std::string& path) {
  change("sync the directory", path, "", [&] {
    const MemoryTree::Id id = tree_.find(path, true);
    tree_.names(id);  // ENOTDIR for what is no directory
    tree_.sync(id);
  });
}

void MemoryFileSystem::sync_all(std::span<const std::string> paths) {
  const std::lock_guard guard(mutex_);
  const int fault = strike("sync all " + std::to_string(paths.size()));
  const std::size_t half = fault == 0 ? paths.size() : paths.size() / 2;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const MemoryTree::Id id = run("sync", paths[i], [&] { return tree_.find(paths[i]); });
    const FileType type = tree_.info(id).type;
    if (type == FileType::kLink) throw io_error("sync", paths[i], ELOOP);
    if (i < half) {
      tree_.sync(id);
    } else if (fault != kCrash && type == FileType::kFile) {
      tree_.lose_writes(id);
    }
  }
  if (fault != 0) fail(fault, "sync", paths.empty() ? "" : paths[half]);
}

std::unique_ptr<FileLock> MemoryFileSystem::lock(const std::string& path, LockKind kind,
                                                 std::chrono::milliseconds wait) {
  std::unique_lock guard(mutex_);
  const MemoryTree::Id id = run("lock", path, [&] { return tree_.find_file(path); });
  const std::shared_ptr<MemoryLocks> locks = locks_;
  guard.unlock();
  return locks->take(id, kind, wait);
}

}  // namespace mcpu
