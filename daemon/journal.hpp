#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/file_system.hpp"

namespace mcpu {

/// The append-only record of the running job. It exists exactly while a job is unfinished or a
/// recovery is pending. Job thread only.
///
/// File: zero-filled to kJournalBytes before it gets its name, so that undoing never needs space. A
/// header line with the format, then each record as one line, `CHECKSUM JSON\n`, the checksum the
/// first 16 hex digits of SHA-256 over the record before's checksum and the JSON (so a record can't
/// be read in another's place). A torn final record is the end of the journal; any other damage is
/// Error{kCorrupt}.
class Journal {
 public:
  static constexpr std::uint64_t kJournalBytes = 256 * 1024;

  /// Creates the journal with its first record: temporary name, sync, rename, directory sync.
  /// Error{kIo} EEXIST when there is one.
  static std::unique_ptr<Journal> create(FileSystem& fs, const std::string& path,
                                         const nlohmann::json& first);
  /// Opens what a dead daemon left, to go on behind its last whole record. Empty when there is
  /// none.
  static std::unique_ptr<Journal> open(FileSystem& fs, const std::string& path);

  /// The records so far, the first included.
  const std::vector<nlohmann::json>& records() const { return records_; }
  /// Appends one record; durable when it returns. Grows the file only beyond kJournalBytes. After a
  /// failed write it may be called again; after a failed sync nobody knows what the disk holds, and
  /// every further call fails in the same way: open the journal anew to see.
  void append(const nlohmann::json& record);
  /// Gives back most of the room that was kept for records: for an end that needs some on a full
  /// disk. What cannot be done is left.
  void give_room();
  /// Deletes the journal durably: the job is finished.
  void remove();

 private:
  Journal(FileSystem& fs, std::string path) : fs_(fs), path_(std::move(path)) {}

  std::string encode(const nlohmann::json& record) const;
  /// Takes a whole line, newline included, that is durable at end_.
  void accept(std::string_view line);
  void read(std::string_view content);
  /// Zeroes what a torn append left, so that it cannot be taken for a part of the next record.
  void clear_garbage();
  void sync();

  FileSystem& fs_;
  std::string path_;
  std::unique_ptr<OutputFile> file_;  ///< null: removed, or a sync failed with broken_errno_
  int broken_errno_ = 0;
  std::uint64_t end_ = 0;          ///< behind the last whole record
  std::uint64_t garbage_end_ = 0;  ///< behind the last byte that may not be zero
  std::string last_checksum_;
  std::vector<nlohmann::json> records_;
};

}  // namespace mcpu
