#include "daemon/tree_builder.hpp"

#include <doctest/doctest.h>

#include "daemon/durable.hpp"
#include "tests/job_story.hpp"

namespace mcpu::tree_builder_test {

namespace {

ListingEntry file(const std::string& path, const std::string& content, bool executable = false) {
  return {path, EntryType::kFile, executable, content.size(), Sha256::of(content), ""};
}

/// A tree that is built from contents in memory.
struct Building {
  Building() { make_directories(fs, "/releases", 0755); }

  StageReport build(const std::vector<ListingEntry>& entries) {
    return build_with(TreeBuilder(fs, "/releases/new"), entries);
  }
  StageReport build_from(const std::string& tree, const std::vector<ListingEntry>& donor,
                         const std::vector<ListingEntry>& entries) {
    TreeBuilder builder(fs, "/releases/new");
    builder.share_with(tree, Listing(donor));
    return build_with(std::move(builder), entries);
  }
  StageReport build_with(TreeBuilder builder, const std::vector<ListingEntry>& entries) {
    const Listing listing(entries);
    const StageReport report = builder.build(
        listing,
        [&](const std::vector<std::size_t>& indexes, const auto& sink) {
          for (const std::size_t index : indexes) {
            const std::string& path = listing.entries().at(index).path;
            asked_for.push_back(path);
            const std::string& content = contents.at(path);
            const std::size_t half = content.size() / 2;
            if (half > 0) sink(index, content.substr(0, half), false);
            sink(index, content.substr(half), true);
          }
        },
        [&](std::size_t done, std::size_t total, std::uint64_t) {
          progress = {done, total};
        });
    unsynced = builder.unsynced();
    CHECK(verify_tree(fs, "/releases/new", listing).empty());
    return report;
  }
  std::uint32_t mode(const std::string& path) { return fs.info("/releases/new" + path)->mode; }
  bool same_file(const std::string& a, const std::string& b) {
    return fs.info(a)->inode == fs.info(b)->inode;
  }

  MemoryFileSystem fs;
  std::map<std::string, std::string> contents;
  std::vector<std::string> asked_for, unsynced;
  std::pair<std::size_t, std::size_t> progress;
};

/// A stored release with one program and one other file.
struct WithDonor : Building {
  WithDonor() {
    contents = {{"bin/app", "program"}, {"lib/part", "part"}};
    entries = {file("bin/app", "program", true), file("lib/part", "part")};
    build(entries);
    fs.rename("/releases/new", "/releases/old");
    asked_for.clear();
  }
  std::vector<ListingEntry> entries;
};

}  // namespace

TEST_CASE("a tree is read-only, and only programs can be executed") {
  Building building;
  building.contents = {{"bin/app", "program"}, {"lib/deep/part", "part"}};
  const StageReport report =
      building.build({file("bin/app", "program", true), file("lib/deep/part", "part")});
  CHECK(building.mode("/bin/app") == 0555);
  CHECK(building.mode("/lib/deep/part") == 0444);
  for (const char* directory : {"", "/bin", "/lib", "/lib/deep"}) {
    CHECK(building.mode(directory) == 0555);
  }
  CHECK(report.files == 2);
  CHECK(report.written == 2);
  CHECK(report.written_bytes == 11);
  CHECK(building.progress == std::pair<std::size_t, std::size_t>{2, 2});
}

TEST_CASE("links, empty files and empty directories are part of a tree") {
  Building building;
  building.contents = {{"empty", ""}};
  ListingEntry link{"bin/app", EntryType::kLink, false, 0, {}, "../empty"};
  ListingEntry directory{"hollow", EntryType::kEmptyDirectory, false, 0, {}, ""};
  building.build({link, file("empty", ""), directory});
  CHECK(building.fs.read_link("/releases/new/bin/app") == "../empty");
  CHECK(building.fs.info("/releases/new/empty")->size_bytes == 0);
  CHECK(building.mode("/hollow") == 0555);
}

TEST_CASE("everything that was written is named for syncing") {
  Building building;
  building.contents = {{"bin/app", "program"}};
  building.build({file("bin/app", "program", true)});
  for (const char* path : {"/releases/new/bin/app", "/releases/new/bin", "/releases/new"}) {
    CHECK(std::ranges::count(building.unsynced, path) == 1);
  }
}

TEST_CASE("an unchanged file is shared with the release before, not asked for again") {
  WithDonor building;
  building.contents["lib/part"] = "another part";
  const StageReport report =
      building.build_from("/releases/old", building.entries,
                          {file("bin/app", "program", true), file("lib/part", "another part")});
  CHECK(building.asked_for == std::vector<std::string>{"lib/part"});
  CHECK(report.written == 1);
  CHECK(building.same_file("/releases/old/bin/app", "/releases/new/bin/app"));
  CHECK(building.fs.info("/releases/old/lib/part")->size_bytes == 4);
}

TEST_CASE("damage of the release before never spreads") {
  WithDonor building;
  write_durably(building.fs, "/releases/old/lib/part", "tarp", 0444);
  building.build_from("/releases/old", building.entries, building.entries);
  CHECK(building.asked_for == std::vector<std::string>{"lib/part"});
}

TEST_CASE("a file whose mode was changed is not shared: its mode would be, too") {
  WithDonor building;
  building.fs.set_mode("/releases/old/lib/part", 0666);
  building.build_from("/releases/old", building.entries, building.entries);
  CHECK(building.asked_for == std::vector<std::string>{"lib/part"});
  CHECK(building.mode("/lib/part") == 0444);
}

TEST_CASE("a file that became a program is written anew") {
  WithDonor building;
  building.build_from("/releases/old", building.entries,
                      {file("bin/app", "program", true), file("lib/part", "part", true)});
  CHECK(building.asked_for == std::vector<std::string>{"lib/part"});
  CHECK(building.mode("/lib/part") == 0555);
  CHECK(building.fs.info("/releases/old/lib/part")->mode == 0444);
}

TEST_CASE("a file that is missing in the release before is written anew") {
  WithDonor building;
  building.fs.remove_file("/releases/old/lib/part");
  building.build_from("/releases/old", building.entries, building.entries);
  CHECK(building.asked_for == std::vector<std::string>{"lib/part"});
}

TEST_CASE("where blocks can be shared files are not the same one") {
  WithDonor building;
  building.fs.set_reflinks(true);
  building.build_from("/releases/old", building.entries, building.entries);
  CHECK(building.asked_for.empty());
  CHECK_FALSE(building.same_file("/releases/old/bin/app", "/releases/new/bin/app"));
}

}  // namespace mcpu::tree_builder_test
