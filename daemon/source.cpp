#include "daemon/source.hpp"

#include <algorithm>
#include <iterator>

#include "daemon/source_wire.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"
#include "proto/url.hpp"

namespace mcpu {

namespace {

constexpr std::size_t kMaxProgressNotices = 100'000;

[[noreturn]] void source_lie(const std::string& what) {
  throw Error(Code::kWorker, "the source worker sent something impossible: " + what);
}

/// Passes notices on until the worker has resolved the source.
nlohmann::json await_resolved(WorkerLink& link, const SourceSession::Progress& progress) {
  for (std::size_t i = 0; i < kMaxProgressNotices; ++i) {
    const nlohmann::json message = link.receive();
    if (const auto resolved = message.find("resolved"); resolved != message.end()) {
      return *resolved;
    }
    const auto notice = message.find("notice");
    if (notice == message.end()) source_lie("neither a notice nor a result");
    if (progress) progress(source_notice_from_json(*notice));
  }
  source_lie("an endless number of notices");
}

std::vector<ListingEntry> part_of_listing(const std::string& text) {
  try {
    return Listing::from_text(text).entries();
  } catch (const Error& error) {
    source_lie(error.what());
  }
}

Listing receive_listing(WorkerLink& link, std::size_t count, const TreeLimits& limits) {
  if (count > limits.max_entries) source_lie("more entries than allowed");
  std::vector<ListingEntry> entries;
  while (entries.size() < count) {
    auto part = part_of_listing(link.receive_bytes());
    if (part.empty() || part.size() > count - entries.size())
      source_lie("a listing of another length");
    std::ranges::move(part, std::back_inserter(entries));
  }
  return Listing(std::move(entries));
}

/// An entry point may be a link to a file of the tree: what it leads to is the worker's to check.
void check_entry_points(const SourceRequest& request, const Listing& listing) {
  for (const auto& path : request.entry_paths) {
    const ListingEntry* const entry = listing.find(path);
    const bool runs = entry != nullptr && (entry->type == EntryType::kLink ||
                                           (entry->type == EntryType::kFile && entry->executable));
    if (!runs) source_lie("a release without its entry point " + escape_path(path));
  }
}

/// Splits the worker's stream into the files that were asked for, and checks each.
class FileStream {
 public:
  using Sink = std::function<void(std::size_t index, std::string_view piece, bool last)>;
  FileStream(WorkerLink& link, const ResolvedSource& resolved, const Sink& sink)
      : link_(link), resolved_(resolved), sink_(sink) {}

  void file(std::size_t index) {
    const ListingEntry& entry = resolved_.listing.entries().at(index);
    std::uint64_t left = entry.size_bytes;
    Sha256Stream hash;
    while (left > 0) {
      const std::string_view piece = next(left);
      left -= piece.size();
      hash.update(piece);
      if (left == 0) check(entry, hash);
      sink_(index, piece, left == 0);
      pending_.remove_prefix(piece.size());
    }
    if (entry.size_bytes == 0) {
      check(entry, hash);
      sink_(index, {}, true);
    }
  }

  void end() const {
    if (!pending_.empty()) source_lie("more content than was asked for");
  }

 private:
  std::string_view next(std::uint64_t at_most) {
    if (pending_.empty()) {
      frame_ = link_.receive_bytes();
      pending_ = frame_;
      if (pending_.empty()) source_lie("a piece of nothing");
    }
    return pending_.substr(
        0, static_cast<std::size_t>(std::min<std::uint64_t>(at_most, pending_.size())));
  }

  void check(const ListingEntry& entry, Sha256Stream& hash) const {
    if (hash.finish() == entry.content) return;
    throw Error(Code::kSource,
                escape_path(entry.path) +
                    " changed while it was read; try again when nobody writes to " +
                    resolved_.location,
                {{"path", escape_path(entry.path)}});
  }

  WorkerLink& link_;
  const ResolvedSource& resolved_;
  const Sink& sink_;
  std::string frame_;
  std::string_view pending_;
};

bool on_this_machine(const std::string& location) {
  return location.starts_with('/') || location.starts_with("file:");
}

}  // namespace

std::string SourceLimit::overdue(const std::string& location) const {
  return "the source " + escape_path(without_password(location)) + " was not done after " +
         std::to_string(time_.count()) + " s: see whether its " +
         (on_this_machine(location) ? "file system is mounted and alive"
                                    : "server is well and the network is up") +
         ", then try again; if it only needs longer, raise " + setting_ + " in the configuration";
}

std::unique_ptr<SourceSession> SourceSession::open(ProcessPort& processes, const Identity& who,
                                                   const SourceRequest& request,
                                                   const SourceLimit& limit,
                                                   const Cancellation* cancellation,
                                                   const Progress& progress) {
  std::unique_ptr<SourceSession> session(new SourceSession());
  session->cancellation_ = cancellation;
  session->location_ = request.location;
  session->worker_ = processes.start(WorkerKind::kSource, who);
  WorkerLink& link = session->worker_->link();
  link.limit(limit.deadline(), cancellation, limit.overdue(request.location));
  link.send({{"resolve", to_json(request)}});
  const nlohmann::json description = await_resolved(link, progress);
  ResolvedSource& resolved = session->resolved_;
  resolved = description_from_json(description);
  const auto count = description.find("entries");
  if (count == description.end() || !count->is_number_unsigned())
    source_lie("no number of entries");
  resolved.changelog = link.receive_bytes();
  if (resolved.changelog.size() > kMaxChangelogBytes) source_lie("an endless changelog");
  resolved.changelog = to_utf8(resolved.changelog);
  resolved.listing = receive_listing(link, count->get<std::size_t>(), request.limits);
  validate(resolved.listing, request.limits);
  check_entry_points(request, resolved.listing);
  return session;
}

void SourceSession::read(
    const std::vector<std::size_t>& indexes, const SourceLimit& limit,
    const std::function<void(std::size_t index, std::string_view piece, bool last)>& sink) {
  WorkerLink& link = worker_->link();
  link.limit(limit.deadline(), cancellation_, limit.overdue(location_));
  FileStream stream(link, resolved_, sink);
  for (std::size_t start = 0; start < indexes.size(); start += kReadBatch) {
    const auto end = std::min(indexes.size(), start + kReadBatch);
    const std::vector<std::size_t> batch(indexes.begin() + static_cast<std::ptrdiff_t>(start),
                                         indexes.begin() + static_cast<std::ptrdiff_t>(end));
    link.send({{"read", batch}});
    for (const std::size_t index : batch) {
      if (resolved_.listing.entries().at(index).type == EntryType::kFile) stream.file(index);
    }
    stream.end();
  }
}

}  // namespace mcpu
