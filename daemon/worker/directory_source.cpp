#include "daemon/worker/directory_source.hpp"

#include <algorithm>
#include <set>

#include "daemon/source_wire.hpp"
#include "daemon/worker/closed_tree.hpp"
#include "daemon/worker/exclusion.hpp"
#include "daemon/worker/tree_collector.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

constexpr std::uint32_t kSetIdBits = 06000;
constexpr std::uint32_t kAnyExecute = 0111;

std::string type_text(FileType type) {
  switch (type) {
    case FileType::kFifo:
      return "is a FIFO";
    case FileType::kSocket:
      return "is a socket";
    case FileType::kDevice:
      return "is a device";
    case FileType::kFile:
    case FileType::kDirectory:
    case FileType::kLink:
      break;
  }
  return "is something else than a file, directory or link";
}

/// A failed system call below a source is the source's fault, and it is named by its path.
template <typename Call>
auto reading(Call call) {
  try {
    return call();
  } catch (const Error& error) {
    if (error.code() != Code::kIo) throw;
    throw Error(Code::kSource,
                std::string("the source cannot be read: ") + error.what() +
                    "; exclude it, or make it readable",
                error.context());
  }
}

/// Passes the content on in pieces and returns its size; a file that grows without end stops at
/// `max_bytes` + 1.
std::uint64_t read_in_pieces(const InputFile& file, std::uint64_t max_bytes,
                             const OpenedSource::Sink& sink) {
  std::vector<char> buffer(
      std::min<std::uint64_t>(kPieceBytes, std::max<std::uint64_t>(file.info().size_bytes, 1) + 1));
  std::uint64_t offset = 0;
  while (offset <= max_bytes) {
    const std::size_t got = file.read_at(offset, buffer.data(), buffer.size());
    if (got == 0) break;
    sink({buffer.data(), got});
    offset += got;
  }
  return offset;
}

class DiskSource : public OpenedSource {
 public:
  DiskSource(FileSystem& fs, std::string root) : fs_(fs), root_(std::move(root)) {}

  void read(const ListingEntry& file, const Sink& sink) override {
    reading([&] {
      const auto input = fs_.open(root_ + "/" + file.path);
      read_in_pieces(*input, file.size_bytes, sink);
    });
  }

 private:
  FileSystem& fs_;
  std::string root_;
};

/// Finds what belongs to the release; contents are hashed afterwards.
class Scan {
 public:
  Scan(FileSystem& fs, std::string root, const SourceRequest& request, bool for_others)
      : fs_(fs),
        root_(std::move(root)),
        source_(escape_path(root_)),
        exclusion_(with_built_in_exclusions(request.exclude)),
        collector_(source_, request.limits),
        closed_(request.closed),
        for_others_(for_others) {}

  void directory(const std::string& path) {
    const auto names = reading([&] { return fs_.list(path.empty() ? root_ : root_ + "/" + path); });
    if (names.empty() && !path.empty()) {
      collector_.add(entry_at(path, EntryType::kEmptyDirectory));
    }
    for (const auto& name : names) {
      thing(path.empty() ? name : path + "/" + name);
    }
  }

  void tracked(const std::string& path) {
    if (exclusion_.covers_file(path)) return;
    const auto info = reading([&] { return fs_.info(root_ + "/" + path); });
    if (!info || info->type == FileType::kDirectory) return;
    check_above(path);
    add(path, *info);
  }

  std::vector<ListingEntry> take() { return collector_.take(); }

 private:
  void thing(const std::string& path) {
    const auto info = reading([&] { return fs_.info(root_ + "/" + path); });
    if (!info || exclusion_.covers(path, info->type == FileType::kDirectory)) return;
    if (info->type != FileType::kDirectory) {
      add(path, *info);
      return;
    }
    check_closed(path, *info);
    if (for_others_ && (info->mode & 05) != 05) {
      refuse_path(source_, path,
                  "cannot be entered by others, who are to run it; exclude it or chmod o+rx");
    }
    directory(path);
  }

  void check_closed(const std::string& path, const FileInfo& info) const {
    if (closed_) require_closed(source_, root_ + "/" + path, info);
  }

  /// The same for the directories above a file, each once.
  void check_above(const std::string& path) {
    for (std::size_t slash = path.find('/'); slash != path.npos;
         slash = path.find('/', slash + 1)) {
      const std::string above = path.substr(0, slash);
      if (!seen_.insert(above).second) continue;
      const auto info = reading([&] { return fs_.info(root_ + "/" + above); });
      if (info) check_closed(above, *info);
    }
  }

  void add(const std::string& path, const FileInfo& info) {
    check_closed(path, info);
    const bool link = info.type == FileType::kLink;
    ListingEntry entry = entry_at(path, link ? EntryType::kLink : EntryType::kFile);
    if (link) {
      entry.target = reading([&] { return fs_.read_link(root_ + "/" + path); });
    } else {
      check_file(path, info);
      entry.executable = (info.mode & kAnyExecute) != 0;
      entry.size_bytes = info.size_bytes;
    }
    collector_.add(std::move(entry));
  }

  void check_file(const std::string& path, const FileInfo& info) const {
    if (info.type != FileType::kFile) {
      refuse_path(source_, path, type_text(info.type) + "; exclude it or remove it");
    }
    if ((info.mode & kSetIdBits) != 0) {
      refuse_path(source_, path, "is set-uid or set-gid; exclude it or chmod ug-s");
    }
    if (for_others_ && (info.mode & 04) == 0) {
      refuse_path(source_, path,
                  "cannot be read by others, who are to run it; exclude it or chmod o+r");
    }
  }

  FileSystem& fs_;
  std::string root_;
  std::string source_;
  Exclusion exclusion_;
  TreeCollector collector_;
  std::set<std::string> seen_;  ///< directories above tracked files
  bool closed_;
  bool for_others_;
};

void hash_entry(FileSystem& fs, const std::string& root, const TreeLimits& limits,
                ListingEntry& entry) {
  const auto file = reading([&] { return fs.open(root + "/" + entry.path); });
  Sha256Stream hash;
  bool pointer = false;
  entry.size_bytes = reading([&] {
    return read_in_pieces(*file, limits.max_file_bytes, [&](std::string_view piece) {
      hash.update(piece);
      pointer = pointer || is_lfs_pointer(piece);
    });
  });
  if (pointer && entry.size_bytes < 1024) {
    refuse_path(escape_path(root), entry.path,
                "is a Git LFS pointer; fetch its content with git lfs pull, or exclude it");
  }
  if (entry.size_bytes > limits.max_file_bytes) {
    refuse_path(escape_path(root), entry.path,
                "is larger than " + format_bytes(limits.max_file_bytes) + "; exclude it");
  }
  entry.content = hash.finish();
}

std::unique_ptr<OpenedSource> hashed(FileSystem& fs, const std::string& root,
                                     const TreeLimits& limits, std::vector<ListingEntry> entries) {
  on_several_threads(entries.size(), [&]() -> Work {
    return [&](std::size_t i) {
      if (entries[i].type == EntryType::kFile) hash_entry(fs, root, limits, entries[i]);
    };
  });
  auto source = std::make_unique<DiskSource>(fs, root);
  source->resolved.listing = Listing(std::move(entries));
  return source;
}

}  // namespace

std::unique_ptr<OpenedSource> open_directory(FileSystem& fs, const std::string& directory,
                                             const SourceRequest& request) {
  Scan scan(fs, directory, request, true);
  scan.directory("");
  auto source = hashed(fs, directory, request.limits, scan.take());
  source->resolved.kind = "directory";
  source->resolved.modified = true;
  return source;
}

std::unique_ptr<OpenedSource> open_files(FileSystem& fs, const std::string& directory,
                                         const std::vector<std::string>& paths,
                                         const SourceRequest& request) {
  Scan scan(fs, directory, request, false);
  for (const auto& path : paths) scan.tracked(path);
  return hashed(fs, directory, request.limits, scan.take());
}

}  // namespace mcpu
