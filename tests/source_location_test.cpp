#include "daemon/worker/source_location.hpp"

#include <doctest/doctest.h>

#include "proto/error.hpp"

namespace mcpu::source_location_test {

using Kind = SourceLocation::Kind;

TEST_CASE("paths and file URLs are places on this machine") {
  CHECK(parse_location("/srv/my app").path == "/srv/my app");
  const auto file = parse_location("file:///srv/my%20app");
  CHECK(file.kind == Kind::kFileUrl);
  CHECK(file.path == "/srv/my app");
  CHECK(parse_location("/srv/git@host:path").kind == Kind::kPath);
}

TEST_CASE("a URL is taken apart, and its password is never shown") {
  const auto url = parse_location("https://me:s%40cret@Git.Example.org:8443/a/b.git");
  CHECK(url.kind == Kind::kHttps);
  CHECK(url.user == "me");
  CHECK(url.password == "s@cret");
  CHECK(url.host == "git.example.org");
  CHECK(url.port == 8443);
  CHECK(url.shown == "https://Git.Example.org:8443/a/b.git");
  CHECK(url.url == url.shown);
  CHECK(parse_location("https://h/x").port == 443);
  CHECK(parse_location("https://[::1]:99/x").host == "::1");
}

TEST_CASE("ssh has two forms") {
  const auto url = parse_location("ssh://git@host:2222/srv/x.git");
  CHECK(url.kind == Kind::kSsh);
  CHECK(url.user == "git");
  CHECK(url.port == 2222);
  CHECK(url.url == "ssh://git@host:2222/srv/x.git");
  const auto short_form = parse_location("git@host:dir/x.git");
  CHECK(short_form.kind == Kind::kSsh);
  CHECK(short_form.user == "git");
  CHECK(short_form.host == "host");
  CHECK(short_form.port == 22);
  CHECK(short_form.url == "git@host:dir/x.git");
  CHECK(short_form.shown == "git@host:dir/x.git");
}

TEST_CASE("what is unsafe or incomplete is refused, without repeating a password") {
  for (const char* text :
       {"relative/path", "git://host/x", "http://example.org/x", "http://127.example.org/x",
        "http://192.168.0.9/x", "https://", "https:///x", "https://host",
        "ssh://-oProxyCommand=x/y", "https://h:0/x", "https://h:99999/x", "file://other/x",
        "ext::sh -c x", "https://me:secret@h:x/y"}) {
    INFO(text);
    try {
      parse_location(text);
      FAIL("was taken");
    } catch (const Error& error) {
      CHECK(error.code() == Code::kSource);
      CHECK(std::string(error.what()).find("secret") == std::string::npos);
    }
  }
  CHECK_THROWS_AS(parse_location("https://host/a\nb"), Error);
  CHECK_THROWS_AS(parse_location(std::string("/srv\0x", 6)), Error);
  for (const char* own : {"http://127.0.0.1:8080/x", "http://127.8.9.1/x", "http://[::1]:80/x",
                          "http://localhost/x"}) {
    INFO(own);
    CHECK(parse_location(own).kind == Kind::kHttp);
  }
}

}  // namespace mcpu::source_location_test
