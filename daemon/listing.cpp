#include "daemon/listing.hpp"

#include <algorithm>
#include <charconv>

#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

constexpr std::string_view kHeader = "mcp-upgraded listing 1";

/// Each field goes into the digest behind its length, so that no two listings give the same bytes.
void add_field(std::string& fields, std::string_view field) {
  std::uint64_t length = field.size();
  for (int i = 0; i < 8; ++i, length >>= 8U) fields += static_cast<char>(length & 0xFFU);
  fields += field;
}

/// The letter of an entry, in the digest and in the stored form: it holds type and executable bit.
char letter(const ListingEntry& entry) {
  switch (entry.type) {
    case EntryType::kFile:
      return entry.executable ? 'x' : 'f';
    case EntryType::kLink:
      return 'l';
    case EntryType::kEmptyDirectory:
      return 'd';
  }
  return '?';
}

std::string_view raw(const Sha256& value) {
  return {reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size()};
}

/// Takes `text` apart line by line and field by field. Escaped fields hold no tab and no newline.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  bool next_line() {
    if (rest_.empty()) return false;
    ++number_;
    const std::size_t end = rest_.find('\n');
    if (end == std::string_view::npos) fail("is cut off");
    line_ = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return true;
  }

  std::string_view whole_line() const { return line_; }

  std::string_view field(bool last) {
    const std::size_t end = line_.find('\t');
    if ((end == std::string_view::npos) != last) fail("has a wrong number of fields");
    const std::string_view value = line_.substr(0, end);
    line_.remove_prefix(last ? line_.size() : end + 1);
    return value;
  }

  std::uint64_t number(bool last) {
    const std::string_view text = field(last);
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || std::to_string(value) != text) fail("has a malformed number");
    return value;
  }

  std::string bytes(bool last) {
    const std::string_view text = field(last);
    try {
      std::string value = unescape_path(text);
      if (!value.empty() && escape_path(value) == text) return value;
    } catch (const Error&) {
      // Reported below, with the line.
    }
    fail("has a malformed path");
  }

  Sha256 sha256() {
    const std::string_view text = field(false);
    try {
      const Sha256 value = Sha256::from_hex(text);
      if (value.hex() == text) return value;
    } catch (const Error&) {
      // Reported below, with the line.
    }
    fail("has a malformed digest");
  }

  [[noreturn]] void fail(const std::string& reason) const {
    throw Error(Code::kCorrupt,
                "the stored listing is damaged: line " + std::to_string(number_) + " " + reason,
                {{"line", number_}});
  }

 private:
  std::string_view rest_;
  std::string_view line_;
  std::size_t number_ = 0;
};

ListingEntry read_entry(Reader& reader) {
  ListingEntry entry;
  const std::string_view kind = reader.field(false);
  if (kind == "f" || kind == "x") {
    entry.executable = kind == "x";
    entry.size_bytes = reader.number(false);
    entry.content = reader.sha256();
    entry.path = reader.bytes(true);
  } else if (kind == "l") {
    entry.type = EntryType::kLink;
    entry.path = reader.bytes(false);
    entry.target = reader.bytes(true);
  } else if (kind == "d") {
    entry.type = EntryType::kEmptyDirectory;
    entry.path = reader.bytes(true);
  } else {
    reader.fail("has an unknown type");
  }
  return entry;
}

/// How many entries follow, from the header line.
std::uint64_t read_header(Reader& reader) {
  if (!reader.next_line()) reader.fail("is missing");
  const std::string_view line = reader.whole_line();
  if (line.substr(0, line.find('\t')) != kHeader) {
    reader.fail("is not '" + std::string(kHeader) + "' (damaged, or written by a newer version)");
  }
  reader.field(false);
  return reader.number(true);
}

bool path_before(const ListingEntry& entry, std::string_view path) { return entry.path < path; }

}  // namespace

Listing::Listing(std::vector<ListingEntry> entries) : entries_(std::move(entries)) {
  std::sort(entries_.begin(), entries_.end(),
            [](const ListingEntry& a, const ListingEntry& b) { return a.path < b.path; });
}

const ListingEntry* Listing::find(std::string_view path) const {
  const auto found = std::lower_bound(entries_.begin(), entries_.end(), path, path_before);
  return found != entries_.end() && found->path == path ? &*found : nullptr;
}

std::uint64_t Listing::total_bytes() const {
  std::uint64_t total = 0;
  for (const ListingEntry& entry : entries_) total += entry.size_bytes;
  return total;
}

Sha256 Listing::digest() const {
  Sha256Stream stream;
  std::string fields;
  for (const ListingEntry& entry : entries_) {
    fields.clear();
    add_field(fields, entry.path);
    add_field(fields, std::string(1, letter(entry)));
    if (entry.type == EntryType::kFile) add_field(fields, raw(entry.content));
    if (entry.type == EntryType::kLink) add_field(fields, entry.target);
    stream.update(fields);
  }
  return stream.finish();
}

std::string Listing::to_text() const {
  std::string text = std::string(kHeader) + '\t' + std::to_string(entries_.size()) + '\n';
  for (const ListingEntry& entry : entries_) {
    text += letter(entry);
    text += '\t';
    if (entry.type == EntryType::kFile) {
      text += std::to_string(entry.size_bytes) + '\t' + entry.content.hex() + '\t';
    }
    text += escape_path(entry.path);
    if (entry.type == EntryType::kLink) text += '\t' + escape_path(entry.target);
    text += '\n';
  }
  return text;
}

Listing Listing::from_text(std::string_view text) {
  Reader reader(text);
  const std::uint64_t count = read_header(reader);
  Listing listing;
  while (reader.next_line()) {
    ListingEntry entry = read_entry(reader);
    if (!listing.entries_.empty() && listing.entries_.back().path >= entry.path) {
      reader.fail("is out of order");
    }
    listing.entries_.push_back(std::move(entry));
  }
  if (listing.entries_.size() != count) reader.fail("is not the last one: lines are missing");
  return listing;
}

ListingChanges compare(const Listing& before, const Listing& after) {
  ListingChanges changes;
  auto old_entry = before.entries().begin();
  auto new_entry = after.entries().begin();
  while (old_entry != before.entries().end() || new_entry != after.entries().end()) {
    const bool no_old = old_entry == before.entries().end();
    const bool no_new = new_entry == after.entries().end();
    if (no_old || (!no_new && new_entry->path < old_entry->path)) {
      changes.added.push_back(escape_path((new_entry++)->path));
    } else if (no_new || old_entry->path < new_entry->path) {
      changes.removed.push_back(escape_path((old_entry++)->path));
    } else {
      if (!(*old_entry == *new_entry)) changes.changed.push_back(escape_path(new_entry->path));
      ++old_entry;
      ++new_entry;
    }
  }
  return changes;
}

}  // namespace mcpu
