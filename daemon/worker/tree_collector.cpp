#include "daemon/worker/tree_collector.hpp"

#include <algorithm>
#include <atomic>

#include "daemon/parallel.hpp"
#include "daemon/source_wire.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

constexpr std::size_t kMostThreads = 4;
constexpr std::size_t kFewPerThread = 16;  // fewer are not worth a thread

[[noreturn]] void refuse_tree(const std::string& source, const std::string& what) {
  throw Error(Code::kSource, source + " " + what + "; exclude what does not belong to the release");
}

}  // namespace

void TreeCollector::add(ListingEntry entry) {
  if (entries_.size() >= limits_.max_entries) {
    refuse_tree(source_, "holds more than " + std::to_string(limits_.max_entries) + " files");
  }
  if (entry.path.size() > limits_.max_path_bytes) {
    refuse_path(source_, entry.path.substr(0, 200) + "...",
                "has a path of more than " + std::to_string(limits_.max_path_bytes) +
                    " bytes; exclude it, or raise limits.path_bytes");
  }
  if (entry.target.size() > kMaxTargetBytes) {
    refuse_path(source_, entry.path, "is a link with an endless target; exclude it");
  }
  if (entry.size_bytes > limits_.max_file_bytes) {
    refuse_path(source_, entry.path,
                "is larger than " + format_bytes(limits_.max_file_bytes) +
                    "; exclude it, or raise limits.file_bytes");
  }
  total_bytes_ += entry.size_bytes;
  if (total_bytes_ > limits_.max_total_bytes) {
    refuse_tree(source_, "is larger than " + format_bytes(limits_.max_total_bytes) +
                             "; exclude something, or raise limits.tree_bytes");
  }
  entries_.push_back(std::move(entry));
}

ListingEntry entry_at(const std::string& path, EntryType type) {
  ListingEntry entry;
  entry.path = path;
  entry.type = type;
  return entry;
}

void refuse_path(const std::string& source, std::string_view path, const std::string& what) {
  throw Error(Code::kSource, source + ": " + escape_path(path) + " " + what,
              {{"path", escape_path(path)}});
}

bool is_lfs_pointer(std::string_view content) {
  return content.size() < 1024 && content.starts_with("version https://git-lfs.github.com/spec/");
}

void on_several_threads(std::size_t count, const std::function<Work()>& prepare) {
  std::atomic<std::size_t> next{0};
  const std::size_t threads = std::clamp<std::size_t>(count / kFewPerThread, 1,
                                                      std::min(computing_threads(), kMostThreads));
  parallel_for(threads, threads, [&](std::size_t) {
    try {
      const Work work = prepare();
      for (std::size_t i = next++; i < count; i = next++) work(i);
    } catch (...) {
      next = count;
      throw;
    }
  });
}

}  // namespace mcpu
