#include "daemon/url.hpp"

#include <doctest/doctest.h>

using namespace mcpu;

TEST_CASE("what is secret in a URL is not shown, everything else is") {
  CHECK(without_password("https://joe:secret@example.org/x.git") ==
        "https://joe:***@example.org/x.git");
  CHECK(without_password("https://ghp_token@example.org/x.git") == "https://***@example.org/x.git");
  CHECK(without_password("https://joe:a@b@example.org:8443/x") ==
        "https://joe:***@example.org:8443/x");
  for (const char* open : {"https://example.org/a@b:c", "ssh://git@example.org/x", "/srv/a:b@c",
                           "git@example.org:x.git", "https://example.org"}) {
    CHECK(without_password(open) == open);
  }
}
