#include "daemon/listing.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include <functional>

#include "daemon/durable.hpp"
#include "proto/error.hpp"
#include "proto/text.hpp"

namespace mcpu::listing_test {

namespace {

ListingEntry file(const std::string& path, const std::string& content, bool executable = false) {
  return {.path = path,
          .type = EntryType::kFile,
          .executable = executable,
          .size_bytes = content.size(),
          .content = Sha256::of(content),
          .target = ""};
}

ListingEntry link_to(const std::string& path, const std::string& target) {
  ListingEntry entry;
  entry.path = path;
  entry.type = EntryType::kLink;
  entry.target = target;
  return entry;
}

ListingEntry empty_directory(const std::string& path) {
  ListingEntry entry;
  entry.path = path;
  entry.type = EntryType::kEmptyDirectory;
  return entry;
}

Listing sample() {
  return Listing({file("bin/mcp", "#!/bin/sh\n", true), file("a b/\xE4\xBD\xA0\xE5\xA5\xBD", "x"),
                  file("gbk-\xC4\xE3", ""), file("back\\slash", "y"), link_to("link", "bin/mcp"),
                  empty_directory("empty")});
}

}  // namespace

TEST_CASE("entries are found whatever order they came in") {
  const Listing listing = sample();
  REQUIRE(listing.find("bin/mcp") != nullptr);
  CHECK(listing.find("bin/mcp")->executable);
  CHECK(listing.find("bin") == nullptr);
  CHECK(listing.find("") == nullptr);
  CHECK(listing.total_bytes() == 12);
  CHECK(Listing({file("b", ""), file("a", "")}).digest() ==
        Listing({file("a", ""), file("b", "")}).digest());
}

TEST_CASE("the stored form is one line for each entry and reads back the same") {
  const Listing listing = sample();
  const std::string text = listing.to_text();
  CHECK(std::count(text.begin(), text.end(), '\n') == 7);
  CHECK(to_utf8(text) == text);
  CHECK(Listing::from_text(text).entries() == listing.entries());
  CHECK(Listing::from_text(Listing().to_text()).entries().empty());
}

TEST_CASE("every single change of an entry changes the digest") {
  std::vector<Listing> variants{
      Listing(),
      Listing({file("a", "x")}),
      Listing({file("b", "x")}),
      Listing({file("a", "y")}),
      Listing({file("a", "x", true)}),
      Listing({link_to("a", "x")}),
      Listing({link_to("a", "y")}),
      Listing({empty_directory("a")}),
      Listing({file("a", "x"), empty_directory("b")}),
      Listing({link_to("a", "xb"), link_to("c", "d")}),
      Listing({link_to("a", "x"), link_to("bc", "d")}),
  };
  for (std::size_t i = 0; i < variants.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      CAPTURE(i);
      CAPTURE(j);
      CHECK(variants[i].digest() != variants[j].digest());
    }
  }
}

TEST_CASE("the digest of a tree stays what it was in earlier versions") {
  CHECK(sample().digest().hex() ==
        "7ef79b2c9e7b4b67dd6e9d7e636d3af8bb0c4219690b00ae72ba656f98a9b190");
}

TEST_CASE("a damaged stored listing is refused, naming the line") {
  const std::string good = sample().to_text();
  const auto reason = [](const std::string& text) -> std::string {
    try {
      Listing::from_text(text);
    } catch (const Error& error) {
      CHECK(error.code() == Code::kCorrupt);
      return error.what();
    }
    return "accepted";
  };
  const auto has = [](const std::string& text, const char* part) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  has(reason(""), "line 0 is missing");
  has(reason("mcp-upgraded listing 2\t0\n"), "newer version");
  has(reason(good.substr(0, good.size() - 1)), "line 7 is cut off");
  has(reason(good.substr(0, good.rfind('\n', good.size() - 2) + 1)), "lines are missing");
  has(reason(good + "d\tzzz\n"), "lines are missing");
  has(reason("mcp-upgraded listing 1\t1\nq\ta\n"), "line 2 has an unknown type");
  has(reason("mcp-upgraded listing 1\t1\nd\ta\\x2\n"), "line 2 has a malformed path");
  has(reason("mcp-upgraded listing 1\t1\nd\ta\\x61\n"), "line 2 has a malformed path");
  has(reason("mcp-upgraded listing 1\t1\nd\ta\tb\n"), "line 2 has a wrong number of fields");
  has(reason("mcp-upgraded listing 1\t2\nd\tb\nd\ta\n"), "line 3 is out of order");
  has(reason("mcp-upgraded listing 1\t2\nd\ta\nd\ta\n"), "line 3 is out of order");
  has(reason("mcp-upgraded listing 1\t1\nf\t01\tx\ta\n"), "line 2 has a malformed number");
  has(reason("mcp-upgraded listing 1\t1\nf\t1\tx\ta\n"), "line 2 has a malformed digest");
}

TEST_CASE("no byte of a stored listing can be flipped into the same listing") {
  const std::string good = sample().to_text();
  const Sha256 digest = sample().digest();
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string text = good;
    text[i] = static_cast<char>(text[i] ^ 0x01);
    try {
      const Listing listing = Listing::from_text(text);
      const bool size_only = listing.digest() == digest;  // sizes follow from the contents
      CHECK((!size_only || listing.total_bytes() != sample().total_bytes()));
    } catch (const Error& error) {
      CHECK(error.code() == Code::kCorrupt);
    }
  }
}

TEST_CASE("what differs between two listings is named, readably") {
  const Listing before({file("same", "x"), file("changed", "x"), file("gone\n", "x")});
  const Listing after({file("same", "x"), file("changed", "x", true), file("new", "x")});
  const ListingChanges changes = compare(before, after);
  CHECK(changes.added == std::vector<std::string>{"new"});
  CHECK(changes.changed == std::vector<std::string>{"changed"});
  CHECK(changes.removed == std::vector<std::string>{"gone\\x0a"});
}

}  // namespace mcpu::listing_test
