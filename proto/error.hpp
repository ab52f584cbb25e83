#pragma once

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

namespace mcpu {

/// What kind of thing went wrong. The names are those of the protocol's typed errors where the
/// protocol has one; the rest never leave the process without being turned into a job's result.
enum class Code {
  kInvalidRequest,      ///< a parameter is wrong: context {field, reason}
  kNotAuthorized,       ///< context {action}
  kNotFound,            ///< context {what}
  kBusy,                ///< context {job, owner, phase, since}
  kNoSource,            ///< no source configured or adopted
  kNothingToRollBack,   ///< there is no earlier release
  kRefused,             ///< allowed to ask, but not done for the named reason: context {reason}
  kConfig,              ///< configuration file: context {file, line, key}
  kSource,              ///< the source cannot be read or is not acceptable
  kCheck,               ///< a check failed: context {check, regression}
  kIo,                  ///< a system call failed: sys() is its errno
  kCorrupt,             ///< stored state is damaged: context {file}
  kTimeout,             ///< a deadline passed
  kCancelled,           ///< somebody cancelled the job
  kWorker,              ///< a worker died, lied or sent something unreadable
  kTooManyConnections,  ///< the daemon serves as many as it can: context {limit}
  kNoDaemon,            ///< client only: nobody answers at the socket
  kUsage,               ///< client only: the command line is wrong
  kInternal             ///< a bug of ours
};

std::string_view code_name(Code code);

/// The one exception type of this project: thrown where something happens, caught at the step, the
/// session and main. `what` names the thing, the reason and what to do next, in one sentence or
/// two.
class Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& what, nlohmann::json context = nlohmann::json::object())
      : std::runtime_error(what), code_(code), context_(std::move(context)) {}

  Code code() const { return code_; }
  /// A JSON object with the typed parameters of the error, `{}` if there are none.
  const nlohmann::json& context() const { return context_; }
  /// errno of a kIo error, else 0.
  int sys() const { return context_.value("errno", 0); }

 private:
  Code code_;
  nlohmann::json context_;
};

/// A kIo error for a failed call on a path: "cannot rename /a/b: No space left on device".
/// `action` is a verb, `errno_value` the errno; context is {errno, path}.
Error io_error(std::string_view action, std::string_view path, int errno_value);

/// A kRefused error whose text is the reason: context is {reason}.
Error refused(const std::string& reason);

/// A kCorrupt error for a stored file that does not hold what was written there: "/a/b is damaged:
/// remove it"; `remedy` says what to do.
Error damaged_file(const std::string& path, const std::string& remedy);

}  // namespace mcpu
