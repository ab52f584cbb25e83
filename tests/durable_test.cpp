#include "daemon/durable.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <functional>

#include "proto/error.hpp"
#include "scratch_directory.hpp"

namespace mcpu::durable_test {

namespace {

int errno_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.sys();
  }
  return 0;
}

}  // namespace

TEST_CASE("a path is taken apart at its last slash") {
  CHECK(parent_path("/a/b") == "/a");
  CHECK(base_name("/a/b") == "b");
  CHECK(parent_path("/a") == "/");
  CHECK(base_name("/a") == "a");
}

TEST_CASE("a file is written, replaced, and read back with its mode") {
  const ScratchDirectory scratch;
  const auto fs = make_posix_file_system();
  write_durably(*fs, scratch / "file", "first, and longer", 0640);
  write_durably(*fs, scratch / "file", "second", 0666);
  CHECK(read_file(*fs, scratch / "file", 100) == "second");
  CHECK(fs->info(scratch / "file")->mode == 0666);
  CHECK(fs->list(scratch.path()) == std::vector<std::string>{"file"});
}

TEST_CASE("a temporary file that a dead writer left is replaced") {
  const ScratchDirectory scratch;
  const auto fs = make_posix_file_system();
  fs->create(scratch / ".file.tmp", 0600)->write_at(0, "left over, and longer than the new one");
  fs->make_link("nowhere", scratch / ".link.tmp");
  write_durably(*fs, scratch / "file", "new", 0600);
  link_durably(*fs, "target", scratch / "link");
  CHECK(read_file(*fs, scratch / "file", 100) == "new");
  CHECK(fs->read_link(scratch / "link") == "target");
  CHECK(fs->list(scratch.path()) == std::vector<std::string>{"file", "link"});
}

TEST_CASE("writing replaces a link itself and leaves what it leads to alone") {
  const ScratchDirectory scratch;
  const auto fs = make_posix_file_system();
  write_durably(*fs, scratch / "precious", "kept", 0600);
  fs->make_link("precious", scratch / "file");
  write_durably(*fs, scratch / "file", "new", 0600);
  CHECK(read_file(*fs, scratch / "precious", 100) == "kept");
  CHECK(read_file(*fs, scratch / "file", 100) == "new");
}

TEST_CASE("a write that fails leaves no temporary file") {
  const ScratchDirectory scratch;
  const auto fs = make_posix_file_system();
  fs->make_directory(scratch / "file", 0700);
  CHECK(errno_of([&] { write_durably(*fs, scratch / "file", "new", 0600); }) == EISDIR);
  CHECK(errno_of([&] { link_durably(*fs, "target", scratch / "file"); }) == EISDIR);
  CHECK(fs->list(scratch.path()) == std::vector<std::string>{"file"});
}

TEST_CASE("a file above the limit is refused, at the limit it is read") {
  const ScratchDirectory scratch;
  const auto fs = make_posix_file_system();
  write_durably(*fs, scratch / "file", "12345", 0600);
  CHECK(read_file(*fs, scratch / "file", 5) == "12345");
  CHECK(errno_of([&] { read_file(*fs, scratch / "file", 4); }) == EFBIG);
}

TEST_CASE("missing directories are made, through a link where one stands") {
  const ScratchDirectory scratch;
  const auto fs = make_posix_file_system();
  fs->make_directory(scratch / "real", 0700);
  fs->make_link("real", scratch / "link");
  make_directories(*fs, scratch / "link/a/b", 0750);
  make_directories(*fs, scratch / "link/a/b", 0750);
  make_directories(*fs, scratch / "link", 0750);
  CHECK(fs->info(scratch / "real/a/b")->mode == 0750);
  write_durably(*fs, scratch / "link/file", "x", 0600);
  CHECK(read_file(*fs, scratch / "real/file", 9) == "x");
}

TEST_CASE("a file in the way of a directory is an error that names it") {
  const ScratchDirectory scratch;
  const auto fs = make_posix_file_system();
  write_durably(*fs, scratch / "file", "x", 0600);
  CHECK(errno_of([&] { make_directories(*fs, scratch / "file", 0700); }) == EEXIST);
  CHECK(errno_of([&] { make_directories(*fs, scratch / "file/sub", 0700); }) != 0);
}

TEST_CASE("a tree is removed with its read-only directories, not what its links lead to") {
  const ScratchDirectory scratch;
  const auto fs = make_posix_file_system();
  write_durably(*fs, scratch / "precious", "kept", 0600);
  make_directories(*fs, scratch / "tree/a/b", 0700);
  write_durably(*fs, scratch / "tree/a/b/file", "x", 0444);
  fs->make_link("..", scratch / "tree/a/up");
  fs->make_link(scratch.path(), scratch / "tree/away");
  for (const char* directory : {"tree/a/b", "tree/a", "tree"}) {
    fs->set_mode(scratch / directory, 0555);
  }
  remove_durably(*fs, scratch / "tree");
  remove_durably(*fs, scratch / "tree");
  CHECK(fs->list(scratch.path()) == std::vector<std::string>{"precious"});
}

TEST_CASE("removing what never had a directory is nothing to do") {
  const ScratchDirectory scratch;
  const auto fs = make_posix_file_system();
  remove_durably(*fs, scratch / "missing/tree");
  CHECK(fs->list(scratch.path()).empty());
}

}  // namespace mcpu::durable_test
