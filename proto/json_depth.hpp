#pragma once

#include <cstddef>
#include <string_view>

namespace mcpu {

/// Whether a JSON text nests deeper than `limit`. Looks at brackets outside of strings only, before
/// the parser does, which would build whatever is there. Any thread.
bool deeper_than(std::string_view text, std::size_t limit);

}  // namespace mcpu
