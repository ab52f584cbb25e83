#include "proto/url.hpp"

namespace mcpu {

std::string without_password(const std::string& source) {
  const std::size_t scheme = source.find("://");
  if (scheme == std::string::npos) return source;
  const std::size_t host = source.find_first_of("/?#", scheme + 3);
  const std::size_t at = source.rfind('@', host == std::string::npos ? host : host - 1);
  if (at == std::string::npos || at < scheme) return source;
  const std::size_t colon = source.find(':', scheme + 3);
  if (colon < at) return source.substr(0, colon) + ":***" + source.substr(at);
  // Without a password, http's name is a token; ssh's is a name.
  return source.starts_with("http") ? source.substr(0, scheme + 3) + "***" + source.substr(at)
                                    : source;
}

bool relative_path(const std::string& source) {
  if (source.empty() || source.starts_with('/') || source.find("://") != std::string::npos)
    return false;
  const std::size_t colon = source.find(':');
  return colon == std::string::npos || colon > source.find('/');
}

}  // namespace mcpu
