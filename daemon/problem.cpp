#include "daemon/problem.hpp"

#include <cctype>

namespace mcpu {

nlohmann::json problem(const std::string& text, const std::string& remedy) {
  const std::size_t split = text.rfind(": ");
  // The system's own words begin with a capital letter.
  const bool ours =
      split != std::string::npos && std::islower(static_cast<unsigned char>(text[split + 2])) != 0;
  if (!ours) return {{"what", text}, {"remedy", remedy}};
  return {{"what", text.substr(0, split)}, {"remedy", text.substr(split + 2)}};
}

}  // namespace mcpu
