#include <doctest/doctest.h>

#include "daemon/listing.hpp"
#include "proto/error.hpp"

namespace mcpu::listing_validation_test {

namespace {

ListingEntry file(const std::string& path) {
  ListingEntry entry;
  entry.path = path;
  return entry;
}

ListingEntry link_to(const std::string& path, const std::string& target) {
  ListingEntry entry;
  entry.path = path;
  entry.type = EntryType::kLink;
  entry.target = target;
  return entry;
}

/// The reason for refusing these entries; "accepted" if there is none.
std::string verdict(std::vector<ListingEntry> entries, const TreeLimits& limits = {}) {
  try {
    validate(Listing(std::move(entries)), limits);
  } catch (const Error& error) {
    CHECK(error.code() == Code::kSource);
    return error.what();
  }
  return "accepted";
}

void refused(std::vector<ListingEntry> entries, const char* part) {
  const std::string reason = verdict(std::move(entries));
  CAPTURE(reason);
  CAPTURE(part);
  CHECK(reason.find(part) != std::string::npos);
  CHECK(reason.find("exclude") != std::string::npos);
}

}  // namespace

TEST_CASE("an ordinary tree is accepted, odd names and inner links included") {
  ListingEntry empty = file("empty");
  empty.type = EntryType::kEmptyDirectory;
  CHECK(verdict({file("bin/mcp"), file("a b"), file("\xE4\xBD\xA0/\xC4\xE3"), file("..."),
                 file(".github/x"), file("a-b"), file("a/b"), empty, link_to("l", "bin/mcp"),
                 link_to("bin/up", ".."), link_to("bin/x", "../a/b"), link_to("d", "bin"),
                 link_to("e", "d/up/a/b"), link_to("dangling", "nothing/here")}) == "accepted");
}

TEST_CASE("a path that is not a plain name below the tree is refused by name") {
  refused({file("")}, "empty path");
  refused({file("/etc/passwd")}, "'/etc/passwd' is an absolute path");
  refused({file("../x")}, "'..' component");
  refused({file("a/../x")}, "'a/../x' has a '..' component");
  refused({file("a/./x")}, "'.' component");
  refused({file("a//x")}, "empty component");
  refused({file("a/")}, "empty component");
  refused({file("new\nline")}, "'new\\x0aline' has a control character");
  refused({file(std::string("nul\0", 4))}, "control character");
  refused({file(".git/config")}, "git repository");
  refused({file("vendor/.git")}, "git repository");
  refused({file(std::string(300, 'n'))}, "too long a name");
}

TEST_CASE("a path that is there twice, or below a file or link, is refused") {
  refused({file("a"), file("a")}, "'a' is there twice");
  refused({file("a"), file("a-b"), file("a/b")}, "'a/b' lies below 'a', which is a file");
  refused({file("a/b/c/d"), file("a/b")}, "'a/b/c/d' lies below 'a/b', which is a file");
  refused({link_to("a", "b"), file("b/x"), file("a/x")}, "below 'a', which is a link");
}

TEST_CASE("a link that leads out of the tree is refused, however it is disguised") {
  refused({link_to("l", "/etc/passwd")}, "'l' is a link to the absolute path '/etc/passwd'");
  refused({link_to("l", "")}, "link to nothing");
  refused({link_to("l", "..")}, "'l' is a link that leads out of the tree, to '..'");
  refused({link_to("a/l", "../../x")}, "out of the tree");
  refused({link_to("a/l", "b/../../../x")}, "out of the tree");
  refused({link_to("l", "a\nb")}, "control character");
  // Each is harmless as text; together they climb: s is the root, so s/.. is above it.
  refused({link_to("d/s", ".."), link_to("l", "d/s/..")}, "'l' is a link that leads out");
  refused({link_to("a/s", ".."), link_to("b/t", "../a/s/.."), file("a/x")}, "'b/t' is a link");
  refused({link_to("d/s", ".."), link_to("m", "d/s"), link_to("x/l", "../m/../y")},
          "'x/l' is a link");
}

TEST_CASE("links that lead round in a circle, or cost too much to follow, are refused") {
  refused({link_to("a", "b"), link_to("b", "a")}, "in a circle");
  refused({link_to("a", "a/x")}, "in a circle");
  std::vector<ListingEntry> doubling{link_to("l0", ".")};
  for (int i = 1; i < 40; ++i) {
    const std::string before = "l" + std::to_string(i - 1);
    doubling.push_back(link_to("l" + std::to_string(i), before + "/" + before));
  }
  refused(doubling, "in a circle");
}

TEST_CASE("what exceeds a limit is refused by name, what reaches it is not") {
  ListingEntry big = file("big");
  big.size_bytes = 10;
  TreeLimits limits;
  limits.max_file_bytes = 10;
  limits.max_total_bytes = 10;
  limits.max_entries = 2;
  limits.max_path_bytes = 5;
  CHECK(verdict({big, file("small")}, limits) == "accepted");
  CHECK(verdict({big, file("toolong")}, limits).find("too long a path") != std::string::npos);
  CHECK(verdict({file("a"), file("b"), file("c")}, limits).find("3 entries") != std::string::npos);
  ListingEntry one = file("one");
  one.size_bytes = 1;
  CHECK(verdict({big, one}, limits).find("'one' brings") != std::string::npos);
  big.size_bytes = 11;
  CHECK(verdict({big}, limits).find("'big' is larger") != std::string::npos);
}

}  // namespace mcpu::listing_validation_test
