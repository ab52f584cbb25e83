#pragma once

#include <string>
#include <string_view>

namespace mcpu {

/// What to do about a fetch that failed, from the reason that libgit2 or the system gave: whose
/// fault it is, the URL's, the server's or the network's. Empty for a reason that is not known,
/// unless it is `of_network`.
std::string fetch_advice(std::string_view reason, bool of_network);

}  // namespace mcpu
