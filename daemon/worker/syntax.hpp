#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mcpu {

/// What is wrong with the text of a configuration file, "line 3: ...", or nothing. `format` is
/// "json" (comments are allowed: several clients write them), "toml", or anything else, which is
/// always fine. Does not build a document of JSON; deep nesting is a problem like any other.
std::optional<std::string> find_syntax_problem(std::string_view text, std::string_view format);

}  // namespace mcpu
