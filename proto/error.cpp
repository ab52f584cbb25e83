#include "proto/error.hpp"

#include <cerrno>
#include <system_error>

#include "proto/text.hpp"

namespace mcpu {

std::string_view code_name(Code code) {
  switch (code) {
    case Code::kInvalidRequest:
      return "InvalidRequest";
    case Code::kNotAuthorized:
      return "NotAuthorized";
    case Code::kNotFound:
      return "NotFound";
    case Code::kBusy:
      return "Busy";
    case Code::kNoSource:
      return "NoSource";
    case Code::kNothingToRollBack:
      return "NothingToRollBack";
    case Code::kRefused:
      return "Refused";
    case Code::kConfig:
      return "ConfigurationInvalid";
    case Code::kSource:
      return "SourceFailed";
    case Code::kCheck:
      return "CheckFailed";
    case Code::kIo:
      return "InputOutput";
    case Code::kCorrupt:
      return "StateDamaged";
    case Code::kTimeout:
      return "TimedOut";
    case Code::kCancelled:
      return "Cancelled";
    case Code::kWorker:
      return "WorkerFailed";
    case Code::kTooManyConnections:
      return "TooManyConnections";
    case Code::kNoDaemon:
      return "NoDaemon";
    case Code::kUsage:
      return "Usage";
    case Code::kInternal:
      return "Internal";
  }
  return "Internal";
}

Error io_error(std::string_view action, std::string_view path, int errno_value) {
  const std::string shown = escape_path(path);
  const bool full = errno_value == ENOSPC || errno_value == EDQUOT;
  return Error(Code::kIo,
               "cannot " + std::string(action) + " " + shown + ": " +
                   std::generic_category().message(errno_value) +
                   (full ? "; free some space there" : ""),
               {{"errno", errno_value}, {"path", shown}});
}

Error refused(const std::string& reason) { return {Code::kRefused, reason, {{"reason", reason}}}; }

Error damaged_file(const std::string& path, const std::string& remedy) {
  return {Code::kCorrupt, path + " is damaged: " + remedy, {{"file", path}}};
}

}  // namespace mcpu
