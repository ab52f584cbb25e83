#include "daemon/problem.hpp"

#include <doctest/doctest.h>

namespace mcpu::problem_test {

TEST_CASE("a sentence is told apart from its remedy") {
  const auto one = problem("/bin/app: 2 is missing: run 'mcpctl upgrade'", "else");
  CHECK(one.at("what") == "/bin/app: 2 is missing");
  CHECK(one.at("remedy") == "run 'mcpctl upgrade'");
}

TEST_CASE("what the system said is no remedy") {
  const auto one = problem("cannot open /a/b: No such file or directory", "mend it");
  CHECK(one.at("what") == "cannot open /a/b: No such file or directory");
  CHECK(one.at("remedy") == "mend it");
  CHECK(problem("it is broken").at("remedy") == "");
}

}  // namespace mcpu::problem_test
