#include "daemon/worker/blob_digests.hpp"

#include <algorithm>
#include <cstring>

#include "daemon/durable.hpp"

namespace mcpu {

namespace {

constexpr std::string_view kHeader = "mcp-upgraded blobs 1\n";
constexpr std::size_t kDigestBytes = sizeof(Sha256::bytes);
constexpr std::size_t kRecordBytes = GIT_OID_RAWSZ + kDigestBytes;
constexpr std::uint64_t kMaxFileBytes = 16 << 20;
constexpr std::size_t kWorthKeeping = 256;  // fewer are hashed in a few milliseconds

bool before(const BlobDigests::Known& a, const BlobDigests::Known& b) {
  return git_oid_cmp(&a.first, &b.first) < 0;
}

std::string_view bytes_of(const Sha256& digest) {
  return {reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()};
}

/// The records between header and checksum; empty if either is wrong.
std::string_view records_of(std::string_view file) {
  if (!file.starts_with(kHeader) || file.size() < kHeader.size() + kDigestBytes) return {};
  const std::string_view checked = file.substr(0, file.size() - kDigestBytes);
  const std::string_view records = checked.substr(kHeader.size());
  const bool intact = bytes_of(Sha256::of(checked)) == file.substr(checked.size());
  return intact && records.size() % kRecordBytes == 0 ? records : std::string_view();
}

}  // namespace

BlobDigests::BlobDigests(FileSystem& fs, std::string path) : fs_(fs), path_(std::move(path)) {
  if (path_.empty()) return;
  std::string file;
  try {
    if (!fs_.info(path_)) return;
    file = read_file(fs_, path_, kMaxFileBytes);
  } catch (const Error&) {
    return;  // somebody else's cache: everything is hashed
  }
  std::string_view records = records_of(file);
  known_.resize(records.size() / kRecordBytes);
  for (auto& [id, digest] : known_) {
    std::memcpy(id.id, records.data(), GIT_OID_RAWSZ);
    std::memcpy(digest.bytes.data(), records.data() + GIT_OID_RAWSZ, kDigestBytes);
    records.remove_prefix(kRecordBytes);
  }
  std::ranges::sort(known_, before);
}

std::optional<Sha256> BlobDigests::find(const git_oid& id) const {
  const Known wanted{id, {}};
  const auto found = std::ranges::lower_bound(known_, wanted, before);
  if (found == known_.end() || git_oid_cmp(&found->first, &id) != 0) return std::nullopt;
  return found->second;
}

void BlobDigests::keep(std::vector<Known> all, std::size_t fresh) {
  if (path_.empty() || fresh < kWorthKeeping) return;
  std::string file(kHeader);
  for (const auto& [id, digest] : all) {
    file.append(reinterpret_cast<const char*>(id.id), GIT_OID_RAWSZ);
    file += bytes_of(digest);
  }
  file += bytes_of(Sha256::of(file));
  if (file.size() > kMaxFileBytes) return;
  try {
    make_directories(fs_, parent_path(path_), 0700);
    remove_tree(fs_, path_ + ".new");
    fs_.create(path_ + ".new", 0600)->write_at(0, file);
    fs_.rename(path_ + ".new", path_);
  } catch (const Error&) {
    // Somebody else's cache, or a full disk: it is only slower the next time.
  }
}

}  // namespace mcpu
