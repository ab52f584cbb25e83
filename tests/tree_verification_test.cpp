#include <doctest/doctest.h>
#include <sys/stat.h>

#include "daemon/durable.hpp"
#include "daemon/listing.hpp"
#include "scratch_directory.hpp"

namespace mcpu::tree_verification_test {

namespace {

/// A tree of a few files, a link and an empty directory, and its listing.
struct Fixture {
  ScratchDirectory scratch;
  std::unique_ptr<FileSystem> fs = make_posix_file_system();
  std::string tree = scratch / "tree";
  Listing listing;

  Fixture() {
    for (const char* directory : {"", "/bin", "/lib", "/lib/deep", "/empty"}) {
      fs->make_directory(tree + directory, 0755);
    }
    std::vector<ListingEntry> entries;
    add(entries, "bin/mcp", "#!/bin/sh", true);
    for (int i = 0; i < 20; ++i)
      add(entries, "lib/deep/" + std::to_string(i), std::to_string(i), false);
    fs->make_link("bin/mcp", tree + "/link");
    entries.emplace_back().path = "link";
    entries.back().type = EntryType::kLink;
    entries.back().target = "bin/mcp";
    entries.emplace_back().path = "empty";
    entries.back().type = EntryType::kEmptyDirectory;
    listing = Listing(std::move(entries));
  }

  void add(std::vector<ListingEntry>& entries, const std::string& path, const std::string& content,
           bool executable) {
    fs->create(tree + "/" + path, executable ? 0555 : 0444)->write_at(0, content);
    ListingEntry& entry = entries.emplace_back();
    entry.path = path;
    entry.executable = executable;
    entry.size_bytes = content.size();
    entry.content = Sha256::of(content);
  }

  std::string at(const std::string& path) const { return tree + "/" + path; }

  std::string damage(std::size_t max = 20) {
    std::string text;
    for (const Damage& found : verify_tree(*fs, tree, listing, max)) {
      text += found.path + ": " + found.what + "; ";
    }
    return text;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "an undamaged tree has no damage") { CHECK(damage().empty()); }

TEST_CASE_FIXTURE(Fixture, "one flipped byte is found and its file named") {
  fs->set_mode(at("lib/deep/7"), 0644);
  fs->open_output(at("lib/deep/7"))->write_at(0, "8");
  CHECK(damage() == "lib/deep/7: content differs; ");
}

TEST_CASE_FIXTURE(Fixture, "a file that grew or shrank is found") {
  fs->set_mode(at("lib/deep/11"), 0644);
  fs->open_output(at("lib/deep/11"))->truncate(1);
  CHECK(damage() == "lib/deep/11: content differs; ");
}

TEST_CASE_FIXTURE(Fixture, "everything that is missing is named") {
  remove_tree(*fs, at("bin"));
  fs->remove_file(at("link"));
  fs->remove_directory(at("empty"));
  CHECK(damage() == "bin/mcp: missing; empty: missing; link: missing; ");
}

TEST_CASE_FIXTURE(Fixture, "everything that does not belong is named, a directory as one thing") {
  fs->make_directory(at("lib/__pycache__"), 0755);
  fs->create(at("lib/__pycache__/a.pyc"), 0644);
  fs->create(at("lib/new\nline"), 0644);
  fs->create(at("empty/not-any-more"), 0644);
  fs->make_link("bin", at("extra"));
  CHECK(damage() ==
        "empty/not-any-more: not in the listing; extra: not in the listing; "
        "lib/__pycache__: not in the listing; lib/new\\x0aline: not in the listing; ");
}

TEST_CASE_FIXTURE(Fixture, "a wrong execute bit or link target is damage") {
  fs->set_mode(at("bin/mcp"), 0444);
  fs->set_mode(at("lib/deep/0"), 0555);
  fs->remove_file(at("link"));
  fs->make_link("elsewhere", at("link"));
  CHECK(damage() ==
        "bin/mcp: is not executable; lib/deep/0: is executable; link: leads to 'elsewhere'; ");
}

TEST_CASE_FIXTURE(Fixture, "a thing of another type is damage, and is not followed or waited for") {
  fs->remove_file(at("bin/mcp"));
  REQUIRE(::mkfifo(at("bin/mcp").c_str(), 0555) == 0);
  fs->rename(at("lib"), scratch / "lib");
  fs->make_link("../lib", at("lib"));
  fs->remove_directory(at("empty"));
  fs->create(at("empty"), 0444);
  fs->remove_file(at("link"));
  fs->make_directory(at("link"), 0755);
  const std::string found = damage(4);
  CHECK(found ==
        "bin/mcp: is not a file; empty: is not a directory; lib: is not a directory; "
        "lib/deep/0: missing; ");
  CHECK(damage(100).find("link: is not a link") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "damage beyond the number asked for is left out") {
  remove_tree(*fs, at("lib"));
  CHECK(verify_tree(*fs, tree, listing, 3).size() == 3);
  CHECK(verify_tree(*fs, tree, listing, 100).size() == 20);
}

TEST_CASE_FIXTURE(Fixture, "a tree that is missing or no directory is damage as a whole") {
  CHECK(verify_tree(*fs, scratch / "nothing", listing).at(0).what == "missing");
  fs->make_link("tree", scratch / "link-to-tree");
  CHECK(verify_tree(*fs, scratch / "link-to-tree", listing).at(0).what == "is not a directory");
}

}  // namespace mcpu::tree_verification_test
