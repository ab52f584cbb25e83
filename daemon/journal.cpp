#include "daemon/journal.hpp"

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "daemon/digest.hpp"
#include "daemon/durable.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

namespace {

constexpr std::string_view kHeader = "mcp-upgraded journal 1\n";
constexpr std::size_t kChecksumDigits = 16;
constexpr std::uint64_t kMaxReadBytes = 64 * 1024 * 1024;

std::string checksum(std::string_view before, std::string_view json) {
  Sha256Stream stream;
  stream.update(before);
  stream.update(json);
  return stream.finish().hex().substr(0, kChecksumDigits);
}

std::string to_json(const nlohmann::json& record) {
  return record.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

[[noreturn]] void throw_corrupt(const std::string& path, const std::string& reason) {
  const std::string shown = escape_path(path);
  throw Error(Code::kCorrupt, "the journal " + shown + " is damaged: " + reason, {{"file", shown}});
}

/// `line` without its newline holds exactly one record that follows the record with checksum
/// `before`.
bool is_record(std::string_view line, std::string_view before) {
  return line.size() > kChecksumDigits && line[kChecksumDigits] == ' ' &&
         line.substr(0, kChecksumDigits) == checksum(before, line.substr(kChecksumDigits + 1));
}

/// Whether a bad line is two records that lost the newline between them: the first one's checksum
/// still stands at its start.
bool holds_later_record(std::string_view line) {
  if (line.size() <= kChecksumDigits) return false;
  const std::string_view before = line.substr(0, kChecksumDigits);
  for (std::size_t i = line.find(" {", kChecksumDigits + 1); i != std::string_view::npos;
       i = line.find(" {", i + 1)) {
    if (i >= 2 * kChecksumDigits && is_record(line.substr(i - kChecksumDigits), before))
      return true;
  }
  return false;
}

/// What follows the last whole record was never finished if it can be one record, torn: it has at
/// most one newline, and nothing behind it.
bool is_torn(std::string_view tail) {
  const std::size_t newline = tail.find('\n');
  if (newline == std::string_view::npos) return true;
  return tail.find('\n', newline + 1) == std::string_view::npos &&
         !holds_later_record(tail.substr(0, newline));
}

/// Zeros where the journal will grow, the header, and the first record.
void fill(OutputFile& file, std::string_view first_line) {
  const std::string zeros(Journal::kJournalBytes, '\0');
  file.write_at(0, zeros);
  file.write_at(0, std::string(kHeader) + std::string(first_line));
  file.sync();
}

/// Best effort while another error is on its way to the caller.
void remove_quietly(FileSystem& fs, const std::string& path) {
  try {
    remove_tree(fs, path);
  } catch (const Error&) {
    // What is left is replaced by the next journal.
  }
}

}  // namespace

std::unique_ptr<Journal> Journal::create(FileSystem& fs, const std::string& path,
                                         const nlohmann::json& first) {
  if (fs.info(path)) throw io_error("create the journal", path, EEXIST);
  const std::string temporary = parent_path(path) + "/." + base_name(path) + ".tmp";
  std::unique_ptr<Journal> journal(new Journal(fs, path));
  const std::string line = journal->encode(first);
  remove_tree(fs, temporary);
  std::string made = temporary;
  try {
    journal->file_ = fs.create(temporary, 0600);
    fill(*journal->file_, line);
    fs.rename(temporary, path, IfExists::kFail);
    made = path;
    fs.sync_directory(parent_path(path));
  } catch (const Error&) {
    remove_quietly(fs, made);
    throw;
  }
  journal->end_ = kHeader.size();
  journal->accept(line);
  return journal;
}

std::unique_ptr<Journal> Journal::open(FileSystem& fs, const std::string& path) {
  if (!fs.info(path)) return nullptr;
  const std::string content = read_file(fs, path, kMaxReadBytes);
  std::unique_ptr<Journal> journal(new Journal(fs, path));
  journal->read(content);
  journal->file_ = fs.open_output(path);
  return journal;
}

void Journal::append(const nlohmann::json& record) {
  if (file_ == nullptr) throw io_error("append to the journal", path_, broken_errno_);
  const std::string line = encode(record);
  clear_garbage();
  garbage_end_ = end_ + line.size();
  file_->write_at(end_, line);
  sync();
  accept(line);
}

void Journal::give_room() {
  constexpr std::uint64_t kLeftBytes = 16 * 1024;  // for the few records of an end
  if (file_ == nullptr || garbage_end_ + kLeftBytes >= kJournalBytes) return;
  try {
    file_->truncate(garbage_end_ + kLeftBytes);
  } catch (const Error&) {
    // Then there is no more room than before.
  }
}

void Journal::remove() {
  file_.reset();
  broken_errno_ = ENOENT;
  fs_.remove_file(path_);
  fs_.sync_directory(parent_path(path_));
}

std::string Journal::encode(const nlohmann::json& record) const {
  const std::string json = to_json(record);
  return checksum(last_checksum_, json) + ' ' + json + '\n';
}

void Journal::accept(std::string_view line) {
  end_ += line.size();
  garbage_end_ = end_;
  last_checksum_ = line.substr(0, kChecksumDigits);
  line.remove_suffix(1);
  records_.push_back(nlohmann::json::parse(line.substr(kChecksumDigits + 1)));
}

void Journal::read(std::string_view content) {
  if (!content.starts_with(kHeader)) {
    throw_corrupt(path_,
                  "its first line is not that of format 1; a newer version may have written it");
  }
  end_ = kHeader.size();
  std::string_view rest = content.substr(kHeader.size());
  for (std::size_t newline = rest.find('\n'); newline != std::string_view::npos;
       newline = rest.find('\n')) {
    if (!is_record(rest.substr(0, newline), last_checksum_)) break;
    accept(rest.substr(0, newline + 1));
    rest.remove_prefix(newline + 1);
  }
  const std::string number = std::to_string(records_.size() + 1);
  if (records_.empty() || !is_torn(rest)) {
    throw_corrupt(path_, "record " + number + " does not have the checksum it was written with");
  }
  const std::size_t last = rest.find_last_not_of('\0');
  garbage_end_ = last == std::string_view::npos ? end_ : end_ + last + 1;
}

void Journal::clear_garbage() {
  if (garbage_end_ <= end_) return;
  file_->write_at(end_, std::string(garbage_end_ - end_, '\0'));
  sync();
  garbage_end_ = end_;
}

void Journal::sync() {
  try {
    file_->sync();
  } catch (const Error& error) {
    // Nobody knows what is on the disk now: only a new reader may go on.
    broken_errno_ = error.sys();
    file_.reset();
    throw;
  }
}

}  // namespace mcpu
