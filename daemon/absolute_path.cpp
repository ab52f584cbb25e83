#include "daemon/absolute_path.hpp"

#include <filesystem>
#include <system_error>

#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu {

std::string absolute_path(const std::string& path) {
  std::error_code gone;
  const std::filesystem::path whole = std::filesystem::absolute(path, gone);
  if (gone) {
    throw Error(Code::kUsage, escape_path(path) +
                                  " is relative, and the current directory cannot be told (" +
                                  gone.message() +
                                  "): give an absolute path, or change to a directory that exists");
  }
  std::string result = whole.lexically_normal().string();
  while (result.size() > 1 && result.back() == '/') result.pop_back();
  return result;
}

}  // namespace mcpu
