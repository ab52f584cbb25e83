#include "daemon/tree_builder.hpp"

#include <cerrno>
#include <memory>

#include "daemon/parallel.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

constexpr std::uint32_t kFileMode = 0444;
constexpr std::uint32_t kProgramMode = 0555;

std::uint32_t mode_of(const ListingEntry& entry) {
  return entry.executable ? kProgramMode : kFileMode;
}

}  // namespace

void TreeBuilder::share_with(std::string donor_tree, Listing donor) {
  donor_tree_ = std::move(donor_tree);
  donor_ = std::move(donor);
}

StageReport TreeBuilder::build(const Listing& listing,
                               const ReleaseStore::ReadContents& read_contents,
                               const ReleaseStore::Progress& progress) {
  make_directories_of(listing);
  const std::vector<std::size_t> missing = share_unchanged(listing);
  StageReport report;
  report.files = listing.entries().size();
  write_contents(listing, missing, read_contents, progress, report);
  protect_directories();
  return report;
}

void TreeBuilder::make_directories_of(const Listing& listing) {
  std::set<std::string> names{""};
  for (const ListingEntry& entry : listing.entries()) {
    if (entry.type == EntryType::kEmptyDirectory) names.insert("/" + entry.path);
    for (std::size_t slash = entry.path.rfind('/'); slash != std::string::npos && slash > 0;
         slash = entry.path.rfind('/', slash - 1)) {
      if (!names.insert("/" + entry.path.substr(0, slash)).second) break;
    }
  }
  for (const std::string& name : names) {
    directories_.push_back(tree_ + name);
    fs_.make_directory(directories_.back(), 0755);
  }
}

std::vector<std::size_t> TreeBuilder::share_unchanged(const Listing& listing) {
  const auto& entries = listing.entries();
  std::vector<char> missing(entries.size(), 0);
  std::vector<std::size_t> candidates;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const ListingEntry& entry = entries[i];
    if (entry.type == EntryType::kLink) fs_.make_link(entry.target, tree_ + "/" + entry.path);
    if (entry.type != EntryType::kFile) continue;
    const ListingEntry* same = donor_.find(entry.path);
    const bool shareable = same && *same == entry;
    if (shareable) {
      candidates.push_back(i);
    } else {
      missing[i] = 1;
    }
  }
  parallel_for(candidates.size(), computing_threads(), [&](std::size_t candidate) {
    const std::size_t i = candidates[candidate];
    try {
      const std::string donor = donor_tree_ + "/" + entries[i].path;
      missing[i] = hash_file(*fs_.open(donor)) != entries[i].content;
    } catch (const Error&) {
      missing[i] = 1;  // gone or unreadable: written anew
    }
  });
  for (const std::size_t i : candidates) {
    const std::string& path = entries[i].path;
    if (missing[i] == 0 &&
        !share(donor_tree_ + "/" + path, tree_ + "/" + path, entries[i].executable)) {
      missing[i] = 1;
    }
  }
  std::vector<std::size_t> indexes;
  for (std::size_t i = 0; i < missing.size(); ++i) {
    if (missing[i] != 0) indexes.push_back(i);
  }
  return indexes;
}

bool TreeBuilder::share(const std::string& from, const std::string& to, bool executable) {
  if (reflinks_) {
    if (fs_.reflink(from, to, executable ? kProgramMode : kFileMode)) {
      unsynced_.push_back(to);
      return true;
    }
    reflinks_ = false;
  }
  try {
    // A damaged mode would be shared too: the donor's must be as it was made.
    const auto info = fs_.info(from);
    if (!info || info->mode != (executable ? kProgramMode : kFileMode)) return false;
    fs_.hard_link(from, to);
    return true;
  } catch (const Error& error) {
    if (error.sys() == EMLINK || error.sys() == EPERM) return false;
    throw;
  }
}

void TreeBuilder::write_contents(const Listing& listing, const std::vector<std::size_t>& missing,
                                 const ReleaseStore::ReadContents& read_contents,
                                 const ReleaseStore::Progress& progress, StageReport& report) {
  if (missing.empty()) return;
  std::unique_ptr<OutputFile> output;
  std::uint64_t offset = 0;
  read_contents(missing, [&](std::size_t index, std::string_view piece, bool last) {
    const ListingEntry& entry = listing.entries().at(index);
    if (!output) {
      const std::string path = tree_ + "/" + entry.path;
      output = fs_.create(path, mode_of(entry));
      unsynced_.push_back(path);
      offset = 0;
    }
    if (!piece.empty()) output->write_at(offset, piece);
    offset += piece.size();
    if (!last) return;
    output.reset();
    report.written += 1;
    report.written_bytes += offset;
    progress(report.written, missing.size(), report.written_bytes);
  });
}

void TreeBuilder::protect_directories() {
  for (auto directory = directories_.rbegin(); directory != directories_.rend(); ++directory) {
    fs_.set_mode(*directory, kProgramMode);
    unsynced_.push_back(*directory);
  }
}

}  // namespace mcpu
