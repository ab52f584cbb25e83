#pragma once

#include <string>

namespace mcpu {

/// Sets up what the daemon says of its own work (not of jobs: those have the event log), through
/// spdlog's default logger. To standard error: with journald's priorities and no times where that
/// is the journal, with both spelt out elsewhere. With `file` instead to that file, which is
/// rotated at 1 MB and only made when there is something to tell: warnings and worse, or everything
/// with `verbose`.
void set_up_diagnostics(const std::string& file, bool verbose);

/// Whether a descriptor is the journal's, by systemd's JOURNAL_STREAM ("device:inode").
bool is_journal(int descriptor, const char* journal_stream);

}  // namespace mcpu
