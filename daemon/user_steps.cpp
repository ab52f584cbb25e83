#include "daemon/user_steps.hpp"

#include <algorithm>
#include <optional>

#include "daemon/concern.hpp"
#include "daemon/parallel.hpp"
#include "proto/error.hpp"

namespace mcpu {

namespace {

template <typename Work>
std::exception_ptr failure_of(const Work& work) {
  try {
    work();
  } catch (const Error&) {
    return std::current_exception();
  }
  return nullptr;
}

/// The failure of one user's work; REQUIRES: there is one.
Error error_in(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return error;
  }
}

void throw_cancel(const UserFailures& failures) {
  for (const std::exception_ptr& failure : failures) {
    if (failure && error_in(failure).code() == Code::kCancelled) std::rethrow_exception(failure);
  }
}

/// Lets a home rest at the end of a call on a thread of its own, which its worker does not survive.
class Visit {
 public:
  Visit(StepContext& context, const ManagedUser& user) : context_(context), user_(user) {}
  ~Visit() { context_.rest(user_); }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

 private:
  StepContext& context_;
  const ManagedUser& user_;
};

}  // namespace

UserFailures side_by_side(StepContext& context, const std::vector<ManagedUser>& users,
                          const std::function<void(std::size_t)>& work) {
  UserFailures failures(users.size());
  parallel_for(users.size(), kUsersAtOnce, [&](std::size_t i) {
    std::optional<Visit> visit;
    if (users.size() > 1) visit.emplace(context, users[i]);
    failures[i] = failure_of([&] { work(i); });
  });
  return failures;
}

UserFailures one_by_one(const std::vector<ManagedUser>& users,
                        const std::function<void(const ManagedUser&)>& work) {
  UserFailures failures;
  for (const ManagedUser& user : users) failures.push_back(failure_of([&] { work(user); }));
  return failures;
}

void settle_failures(StepContext& context, const std::vector<ManagedUser>& users,
                     const UserFailures& failures, const char* id) {
  throw_cancel(failures);
  for (std::size_t i = 0; i < users.size(); ++i) {
    if (!failures[i] || users[i].required) continue;
    context.skipped.insert(users[i].who.uid);
    context.log.emit_about(users[i].who.uid, Tier::kWarning, id,
                           {{"user", users[i].who.name}, {"reason", error_in(failures[i]).what()}});
  }
  for (std::size_t i = 0; i < users.size(); ++i) {
    if (failures[i] && users[i].required) throw about(users[i], error_in(failures[i]));
  }
}

void undo_in_homes(StepContext& context, const std::function<void(const ManagedUser&)>& work) {
  std::vector<ManagedUser> users = context.plan.users;
  std::erase_if(users, [](const ManagedUser& user) { return user.homeless; });
  const UserFailures failures =
      side_by_side(context, users, [&](std::size_t i) { work(users[i]); });
  for (std::size_t i = 0; i < users.size(); ++i) {
    if (!failures[i] || users[i].required) continue;
    Snapshot snapshot = context.snapshot(users[i]);
    if (snapshot.complete()) snapshot.keep();
    const std::string& name = users[i].who.name;
    if (std::ranges::find(context.unrestored, name) == context.unrestored.end()) {
      context.unrestored.push_back(name);
    }
    context.log.emit_about(users[i].who.uid, Tier::kWarning, "config.unrestored",
                           {{"user", users[i].who.name},
                            {"reason", error_in(failures[i]).what()},
                            {"saved", snapshot.directory()}});
  }
  for (std::size_t i = 0; i < users.size(); ++i) {
    if (failures[i] && users[i].required) throw about(users[i], error_in(failures[i]));
  }
}

}  // namespace mcpu
