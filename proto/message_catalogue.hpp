#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mcpu {

/// The English template of a message id, with `{field}` placeholders; empty if there is no such id.
/// The templates are also what translations will be keyed by.
std::optional<std::string_view> message_template(std::string_view id);

/// The English text of an event: the template of `id` with the fields put in. A field that is
/// missing stays visible as `{field}`; strings go in as they are, numbers in decimal, arrays joined
/// by ", ". An unknown id gives the id and the fields: logging never fails.
std::string render_message(std::string_view id, const nlohmann::json& fields);

/// The field of an event that concerns one user with the text for everybody else, if there is one.
inline constexpr const char* kPublicText = "public";

/// Every id there is, for tests and translators.
std::vector<std::string_view> message_ids();

}  // namespace mcpu
