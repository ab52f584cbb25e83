#include "daemon/concern.hpp"

namespace mcpu {

Error about(const ManagedUser& user, const Error& error) {
  // What a check came to is everybody's business, a cancel too.
  if (error.code() == Code::kCheck || error.code() == Code::kCancelled) return error;
  const std::string text = error.what();
  const bool named = text.find(user.who.name) != text.npos || text.find(user.who.home) != text.npos;
  nlohmann::json context = error.context();
  context["concerns"] = user.who.uid;
  context["user"] = user.who.name;
  return Error(error.code(), named ? text : "the home of " + user.who.name + ": " + text, context);
}

std::optional<std::uint32_t> concerned_by(const nlohmann::json& context) {
  const auto uid = context.find("concerns");
  if (uid == context.end() || !uid->is_number_unsigned()) return std::nullopt;
  return uid->get<std::uint32_t>();
}

std::string without_details(const nlohmann::json& context, const std::string& happened) {
  const std::string user = context.value("user", "a user");
  return "something in the home of " + user + " " + happened + "; details are shown to " + user +
         " and to root";
}

std::string pending_text(const Error& pending, bool full) {
  if (full || !concerned_by(pending.context())) return pending.what();
  return without_details(pending.context(), kNotPutBack);
}

}  // namespace mcpu
