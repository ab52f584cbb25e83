#pragma once

#include <cstdlib>
#include <map>
#include <optional>
#include <string>

namespace mcpu::test {

/// Variables and their values; nullptr: not set.
using Values = std::map<std::string, const char*>;

/// Sets variables of this process's environment and puts them back at its end.
class Variables {
 public:
  explicit Variables(const Values& wanted) {
    for (const auto& [name, value] : wanted) {
      const char* old = std::getenv(name.c_str());
      before_[name] = old == nullptr ? std::nullopt : std::optional<std::string>(old);
      if (value == nullptr)
        ::unsetenv(name.c_str());
      else
        ::setenv(name.c_str(), value, 1);
    }
  }
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;
  ~Variables() {
    for (const auto& [name, value] : before_) {
      if (value)
        ::setenv(name.c_str(), value->c_str(), 1);
      else
        ::unsetenv(name.c_str());
    }
  }

 private:
  std::map<std::string, std::optional<std::string>> before_;
};

}  // namespace mcpu::test
