#include "daemon/durable.hpp"
#include "daemon/stale.hpp"
#include "daemon/steps.hpp"
#include "daemon/user_steps.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

using nlohmann::json;

StaleQuery query_of(const StepContext& context, std::vector<std::string> directories) {
  const std::string checkout =
      context.entry_points.recorded_checkout(context.tools.layout.adoption(context.plan.app));
  StaleQuery query;
  query.directories = std::move(directories);
  for (const EntryPoint& entry : context.plan.entry_points) {
    const std::string target = checkout.empty() ? "" : checkout + "/" + entry.path;
    query.commands.push_back({entry.name, entry.link, target});
  }
  query.recognize = context.running.app->recognize;
  return query;
}

/// Tells the user in whose home something is; null: it is in none, and everybody is told.
void tell(StepContext& context, const ManagedUser* user, Tier tier, const char* id, json fields) {
  if (user) return context.log.emit_about(user->who.uid, tier, id, std::move(fields));
  context.log.emit({tier, id, std::move(fields)});
}

/// Notes and removes one link. `user`: in whose home; null: in none.
void remove_one(StepContext& context, const StaleLink& link, const ManagedUser* user) {
  const json shown{{"link", escape_path(link.path)}, {"target", escape_path(link.target)}};
  if (!user && !context.tools.fs.writable(parent_path(link.path))) {
    return tell(context, user, Tier::kWarning, "stale.found", shown);
  }
  json note = to_json(link);
  if (user) note["uid"] = user->who.uid;
  context.note(note);
  const bool removed = user ? context.home(*user, kHomeLimit).remove_stale(link)
                            : remove_stale_link(context.tools.fs, link);
  if (removed) return tell(context, user, Tier::kInfo, "stale.removed", shown);
  tell(context, user, Tier::kWarning, "stale.found", shown);
}

void tell_copies(StepContext& context, const std::vector<PipCopy>& copies,
                 const ManagedUser* user) {
  for (const PipCopy& copy : copies) {
    tell(context, user, Tier::kWarning, "stale.copy",
         {{"distribution", copy.distribution + " " + copy.version},
          {"link", escape_path(copy.script)},
          {"fix", uninstall_line(context.tools.fs, copy, user == nullptr)}});
  }
}

}  // namespace

void apply_stale(StepContext& context) {
  const StaleFound found = find_stale(context.tools.fs, query_of(context, {kSystemCommands}));
  for (const StaleLink& link : found.links) remove_one(context, link, nullptr);
  tell_copies(context, found.copies, nullptr);
  const std::vector<ManagedUser> users = context.users_with_home();
  const UserFailures failures = one_by_one(users, [&](const ManagedUser& user) {
    const StaleFound theirs =
        context.home(user, kHomeLimit).find_stale(query_of(context, home_commands(user.who.home)));
    for (const StaleLink& link : theirs.links) remove_one(context, link, &user);
    tell_copies(context, theirs.copies, &user);
  });
  settle_failures(context, users, failures, "stale.skipped");
}

void undo_stale(StepContext& context, const StepTrace& trace) {
  for (const json& note : trace.notes) {
    if (!note.contains("uid")) put_back_stale_link(context.tools.fs, stale_link_from_json(note));
  }
  undo_in_homes(context, [&](const ManagedUser& user) {
    for (const json& note : trace.notes) {
      if (note.value("uid", json()) != user.who.uid) continue;
      context.require_home(user);
      context.home(user, kHomeLimit).put_back_stale(stale_link_from_json(note));
    }
  });
}

}  // namespace mcpu
