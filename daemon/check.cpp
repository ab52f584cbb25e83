#include "daemon/check.hpp"

#include <algorithm>

#include "daemon/check_messages.hpp"
#include "proto/error.hpp"

namespace mcpu {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

/// What the worker may need beyond the checks' own deadlines.
constexpr milliseconds kGrace{5000};
constexpr std::size_t kMaxReasonBytes = 4096;
/// A byte that is not UTF-8 becomes three; and the note about what was left out.
constexpr std::size_t kMaxOutputBytes = 3 * kCheckOutputBytes + 256;

Error check_lie(const Identity& who, const std::string& what) {
  return Error(Code::kWorker, "the check worker of " + who.name + " " + what +
                                  ": its answer is not to be trusted");
}

/// All checks are done by then, whatever their order: no place stays empty while a check waits.
Deadline deadline_of(const std::vector<CheckRun>& runs, std::size_t at_once) {
  milliseconds sum{0};
  milliseconds longest{0};
  for (const auto& run : runs) {
    sum += run.deadline;
    longest = std::max(longest, run.deadline);
  }
  return std::chrono::steady_clock::now() + sum / static_cast<std::int64_t>(at_once) + longest +
         kGrace;
}

void send_runs(WorkerLink& link, const std::vector<CheckRun>& runs, std::size_t at_once) {
  link.send({{"checks", runs.size()}, {"at_once", at_once}});
  for (const auto& run : runs) link.send(check_run_to_json(run));
}

CheckResult accept_result(const Identity& who, const CheckRun& run, const json& object) {
  auto result = check_result_from_json(object);
  result.name = run.name;
  const bool exit_accepted = std::ranges::find(run.accept, result.exit_code) != run.accept.end();
  if (result.passed && (!exit_accepted || result.signal != 0 || result.timed_out)) {
    throw check_lie(who, "called \"" + run.name + "\" passed, which it was not");
  }
  const bool known = std::ranges::find(run.forbid, result.forbidden) != run.forbid.end();
  if (!result.forbidden.empty() && (result.passed || !known)) {
    throw check_lie(
        who, "found a text in the output of \"" + run.name + "\" that it was not to look for");
  }
  if (result.output.size() > kMaxOutputBytes || result.reason.size() > kMaxReasonBytes) {
    throw check_lie(who, "sent more output of \"" + run.name + "\" than is kept");
  }
  return result;
}

std::vector<CheckResult> receive_results(WorkerLink& link, const Identity& who,
                                         const std::vector<CheckRun>& runs) {
  std::vector<CheckResult> results(runs.size());
  std::vector<bool> answered(runs.size());
  for (std::size_t count = 0; count < runs.size(); ++count) {
    const auto message = link.receive();
    const auto index = message.find("index");
    if (index == message.end() || !index->is_number_unsigned() || !message.contains("result")) {
      throw check_lie(who, "sent something else than a result");
    }
    const auto at = index->get<std::size_t>();
    if (at >= runs.size() || answered[at]) throw check_lie(who, "answered what it was not asked");
    answered[at] = true;
    results[at] = accept_result(who, runs[at], message["result"]);
  }
  return results;
}

}  // namespace

bool CheckResult::fails_worse_than(const CheckResult& other) const {
  return (signal != 0 && other.signal == 0) || (timed_out && !other.timed_out) ||
         (!forbidden.empty() && other.forbidden.empty());
}

std::vector<CheckResult> Checker::run(const std::vector<CheckRun>& runs, std::size_t at_once,
                                      const Cancellation* cancellation) {
  if (runs.empty()) return {};
  at_once = std::clamp<std::size_t>(at_once, 1, runs.size());
  return worker_.converse([&](WorkerLink& link) {
    link.limit(deadline_of(runs, at_once), cancellation);
    send_runs(link, runs, at_once);
    return receive_results(link, worker_.who(), runs);
  });
}

}  // namespace mcpu
