#include "proto/url.hpp"

#include <doctest/doctest.h>

namespace mcpu::url_test {

TEST_CASE("a path that depends on where one stands is told from URLs and hosts") {
  for (const char* relative : {"x", "./odd:name", "a/b:c", ".."}) CHECK(relative_path(relative));
  for (const char* whole :
       {"/srv/x", "https://example.org/x", "host:x", "git@host:x/y", "file:///x"})
    CHECK_FALSE(relative_path(whole));
}

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

}  // namespace mcpu::url_test
