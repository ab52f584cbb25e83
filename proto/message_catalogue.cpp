#include "proto/message_catalogue.hpp"

#include <algorithm>
#include <array>

namespace mcpu {

namespace {

struct Message {
  std::string_view id;
  std::string_view text;
};

/// Sorted by id. An id is never given another meaning: stored logs refer to it. {name} stands for a
/// field, {name:thing} for that number of things.
constexpr auto kMessages = std::to_array<Message>({
    {"activate.switched", "switched from {from} to {to}"},
    {"adopt.entry", "adopted {link}, which was {what}"},
    {"adopt.launcher", "put back the launcher behind {link}"},
    {"adopt.left_alone", "left {link} alone: somebody else changed it meanwhile"},
    {"adopt.notice",
     "updating {checkout} alone no longer changes the command: run mcpctl upgrade after it"},
    {"adopt.replaced",
     "replaced {link}, a file that somebody had put there; a copy of it is {copy}"},
    {"changelog.line", "{text}"},
    {"check.closed",
     "check {check}{for}: {reason}: what stood there before adoption is closed to that user"},
    {"check.damaged", "{file} of release {release}: {reason}"},
    {"check.failed", "check {check} failed{for}: {reason}"},
    {"check.failed_before", "check {check} failed before this upgrade too{for}: {reason}"},
    {"check.output", "output of {check}{for}: {output}"},
    {"check.passed", "check {check} passed in {milliseconds} ms{for}"},
    {"check.regression",
     "check {check} passed with the old release and fails with the new one{for}: {reason}"},
    {"check.repeating", "check {check} failed{for}; trying it once more"},
    {"check.skipped", "the checks of {user} did not run to their end: {reason}"},
    {"check.warning", "check {check}{for}: {reason}"},
    {"check.worse", "check {check} fails{for} in a worse way than with the old release: {reason}"},
    {"config.changed", "the new release changed {file} of {user}"},
    {"config.conflict",
     "{file} of {user} was changed by the release and by somebody else: both versions are kept"},
    {"config.differs",
     "{file} of {user} was changed while the job ran, by somebody or by a release that reached out "
     "of its scratch home: it stays as it is; {reason}"},
    {"config.interrupted",
     "{file} of {user} differs after the interruption, so the release may have changed it: "
     "{reason}"},
    {"config.kept", "left {file} of {user} as it is: {reason}"},
    {"config.restored", "restored {file} of {user}"},
    {"config.restored_over", "restored {file} of {user}; the version found there is {reason}"},
    {"config.unrestored",
     "configuration of {user} could not be put back ({reason}): the versions from before are in "
     "{saved}"},
    {"config.unsaved",
     "no saved configuration files of {user} are left of {jobs}: what a release changed then "
     "stays"},
    {"daemon.started", "mcp-upgraded {version} started, process {pid}"},
    {"daemon.stopped", "mcp-upgraded stopped: {reason}"},
    {"event.private", "details are shown to the user concerned and to root"},
    {"job.cancel_requested", "{by} asked to cancel this job"},
    {"job.cancelled", "{message}"},
    {"job.expired", "{message}"},
    {"job.failed", "{message}"},
    {"job.finished", "{message}"},
    {"job.joined", "the same request is already being worked on"},
    {"job.needs_attention", "{message}"},
    {"job.queued", "job {job} waits for its turn at position {position}"},
    {"job.refused", "{message}"},
    {"job.started", "{kind} of {app} started for {owner} ({mode})"},
    {"log.cut", "the rest of this log is lost: {file} is damaged, or was cut off"},
    {"log.damaged", "{what} of this log cannot be read: {file} is damaged there"},
    {"log.lost", "what stood in this job's log before is lost"},
    {"path.shadowed", "{link} is hidden by {by}, which comes first on PATH: {fix}"},
    {"phase.started", "{phase}"},
    {"preflight.old_lock",
     "{path} is there, the lock of an old upgrade script: if none runs, it was left behind; delete "
     "it"},
    {"preflight.passed", "there is room, {free} free{met}"},
    {"preflight.problem", "{reason}"},
    {"prune.failed", "old releases could not be removed: {reason}"},
    {"prune.kept", "kept {release}: {reason}"},
    {"prune.removed", "removed {release} ({bytes})"},
    {"recovery.needed", "the job could not be ended, recovery goes on with it: {reason}"},
    {"recovery.redone", "job {job} had been committed: finished what was left of it"},
    {"recovery.started", "job {job} was interrupted in step {step}: recovering"},
    {"recovery.undone", "job {job} was undone: everything is as it was before it"},
    {"release.denied",
     "{release} is marked as broken by check {check}: it is not tried again unless told to "
     "(--force, "
     "--to, or 'mcpctl unhold')"},
    {"release.held_warning",
     "{release} is held ({reason}); upgrading to it because it was asked for"},
    {"release.unreadable",
     "{release} is damaged ({reason}): it is left all the same, and nothing is compared with it"},
    {"repair.left", "not mended: {what}"},
    {"resolve.release", "release {release} is version {version} from {origin}"},
    {"resolve.up_to_date", "already up to date: {release}"},
    {"rollback.held",
     "{release} is held: unattended upgrades leave it out until something newer appears"},
    {"rollback.target", "rolling back to {release}"},
    {"service.failed_before",
     "service {unit} did not stay up before this job either, and does not now: {reason}"},
    {"service.left", "left service {unit} alone: it was {state}"},
    {"service.not_restored", "service {unit} does not run again after the undo: {reason}"},
    {"service.output", "{unit}: {line}"},
    {"service.restarted", "restarted service {unit} in {milliseconds} ms"},
    {"service.restored", "restarted service {unit} with what stood there before"},
    {"service.skipped", "left service {unit} alone: {reason}"},
    {"service.warning",
     "service {unit} does not run with the new release: {reason}; the job goes on, since {user} is "
     "not in required_users"},
    {"snapshot.saved", "saved the configuration files of {user}: {files} ({bytes})"},
    {"snapshot.skipped", "configuration of {user} left alone: {reason}"},
    {"source.cache_damaged", "the clone of {location} is damaged and is made anew: {reason}"},
    {"source.cloned", "cloned {location}: {objects:object}, {bytes:byte}"},
    {"source.differs",
     "not part of this release: {count:file} with differences from HEAD (--worktree takes tracked "
     "files as they are): {files}"},
    {"source.fetched", "fetched what is new in {location}: {objects:object}, {bytes:byte}"},
    {"source.fetching", "fetching: {objects} of {total} objects, {bytes} bytes"},
    {"source.made_executable", "{path} is an entry point but was not executable; it is now"},
    {"source.not_compared", "the files could not be compared with HEAD: {reason}"},
    {"source.worktree", "taking {count:file} with differences from HEAD, as found: {files}"},
    {"stage.damaged",
     "the stored {release} is damaged ({reason}): staging it again under another name"},
    {"stage.done", "staged {release}: {files:file}, {changed} of them written ({bytes})"},
    {"stage.exists", "{release} is already staged and verified"},
    {"stage.progress", "staged {done} of {total} files, {bytes} bytes"},
    {"stage.reused", "{files:unchanged file} taken from the release before"},
    {"stale.copy",
     "stale: {distribution}, installed with pip, is another copy of this application (it brought "
     "{link}): remove it with '{fix}', then 'mcpctl upgrade' if that took {link} along"},
    {"stale.found",
     "stale: {link} still leads into the old checkout and cannot be removed by this user"},
    {"stale.removed", "removed the stale link {link}, which led to {target}"},
    {"stale.skipped", "old installations of {user} left alone: {reason}"},
    {"state.damaged", "{file} is damaged and was set aside as {aside}"},
    {"state.rebuilt", "{loss}"},
    {"summary.line", "{text}"},
    {"unattended.skipped", "skipped {release}: {reason}"},
    {"undo.done", "everything is as it was before this job{but}"},
    {"undo.pending", "not restored yet: {what}; {remedy}"},
    {"undo.started", "undoing: {reason}"},
    {"undo.step", "undone: {step}"},
    {"users.gone", "nobody is looked after for whom this was installed: {reason}"},
    {"users.left_out", "user {user} of the configuration is left out: {reason}"},
    {"users.none",
     "nobody's home is known, so the checks run as {user}: name people in users of the "
     "configuration"},
});

static_assert(std::is_sorted(kMessages.begin(), kMessages.end(),
                             [](const Message& a, const Message& b) { return a.id < b.id; }));

std::string shown(const nlohmann::json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) {
    return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  std::string list;
  for (const nlohmann::json& each : value) list += (list.empty() ? "" : ", ") + shown(each);
  return list;
}

/// What stands in a text for a placeholder, which is given without its braces.
std::string filled_in(std::string_view placeholder, const nlohmann::json& fields) {
  const std::size_t colon = placeholder.find(':');
  const auto field = fields.find(std::string(placeholder.substr(0, colon)));
  if (field == fields.end()) return "{" + std::string(placeholder) + "}";
  if (colon == placeholder.npos) return shown(*field);
  const std::string thing(placeholder.substr(colon + 1));
  return shown(*field) + " " + thing + (*field == 1 ? "" : "s");
}

std::string without_template(std::string_view id, const nlohmann::json& fields) {
  std::string text(id);
  if (!fields.empty()) text.append(" ").append(shown(fields));
  return text;
}

}  // namespace

std::optional<std::string_view> message_template(std::string_view id) {
  const auto found = std::lower_bound(
      kMessages.begin(), kMessages.end(), id,
      [](const Message& message, std::string_view key) { return message.id < key; });
  if (found == kMessages.end() || found->id != id) return std::nullopt;
  return found->text;
}

std::string render_message(std::string_view id, const nlohmann::json& fields) {
  const std::optional<std::string_view> pattern = message_template(id);
  if (!pattern) return without_template(id, fields);
  std::string text;
  std::string_view rest = *pattern;
  while (!rest.empty()) {
    const std::size_t open = rest.find('{');
    const std::size_t close = open == rest.npos ? open : rest.find('}', open);
    text += rest.substr(0, open);
    if (close == rest.npos) break;
    text += filled_in(rest.substr(open + 1, close - open - 1), fields);
    rest.remove_prefix(close + 1);
  }
  return text;
}

std::vector<std::string_view> message_ids() {
  std::vector<std::string_view> ids;
  for (const Message& message : kMessages) ids.push_back(message.id);
  return ids;
}

}  // namespace mcpu
