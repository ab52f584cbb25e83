#include "daemon/release_marks.hpp"

#include <doctest/doctest.h>

#include <functional>

#include "daemon/durable.hpp"
#include "scratch_directory.hpp"

namespace mcpu::release_marks_test {

namespace {

/// A small tree on a real file system.
struct Tree {
  ScratchDirectory scratch;
  std::unique_ptr<FileSystem> fs = make_posix_file_system();

  Tree() {
    fs->make_directory(scratch / "lib", 0755);
    fs->create(scratch / "lib/part", 0444)->write_at(0, "part");
    fs->make_link("lib/part", scratch / "link");
  }
  Marks marks() { return mark_tree(*fs, scratch / "."); }
};

}  // namespace

TEST_CASE_FIXTURE(Tree, "a tree that nobody touches keeps its marks, read or locked as it may be") {
  const Marks before = marks();
  CHECK(before.size() == 3);
  read_file(*fs, scratch / "lib/part", 100);
  fs->lock(scratch / "lib/part", LockKind::kRead, std::chrono::milliseconds(0));
  CHECK(marks() == before);
}

TEST_CASE_FIXTURE(Tree, "whatever is done to a tree changes its marks") {
  const std::vector<std::function<void()>> actions{
      [&] { fs->set_mode(scratch / "lib/part", 0644); },
      [&] { fs->open_output(scratch / "lib/part")->write_at(0, "tarp"); },
      [&] { fs->create(scratch / "lib/more", 0444); },
      [&] { fs->remove_file(scratch / "lib/more"); },
      [&] { fs->hard_link(scratch / "lib/part", scratch / "lib/twice"); },
      [&] { fs->rename(scratch / "link", scratch / "other"); }};
  for (const auto& action : actions) {
    const Marks before = marks();
    action();
    CHECK_FALSE(marks() == before);
  }
}

TEST_CASE_FIXTURE(Tree, "a change that is dressed up as none by setting times back is seen") {
  const Marks before = marks();
  fs->set_mode(scratch / "lib/part", 0644);
  fs->open_output(scratch / "lib/part")->write_at(0, "tarp");
  fs->set_mode(scratch / "lib/part", 0444);
  fs->set_times(scratch / "lib/part", before[1].mtime_ns);
  Marks after = marks();
  CHECK_FALSE(after == before);
  for (std::size_t i = 0; i < after.size(); ++i) after[i].ctime_ns = before[i].ctime_ns;
  CHECK(after == before);
}

}  // namespace mcpu::release_marks_test
