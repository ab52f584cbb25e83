#include "daemon/denied_releases.hpp"

#include <doctest/doctest.h>

#include "daemon/durable.hpp"
#include "memory_file_system.hpp"
#include "proto/error.hpp"

namespace mcpu::denied_releases_test {

namespace {

const Layout kLayout{"/var/lib/mcpu", ""};

DeniedRelease denied(const std::string& digest, const std::string& reason = "exit code 1") {
  return {digest, "1.0.0-" + digest, "1.0.0", "app status", reason, 4, now()};
}

}  // namespace

TEST_CASE("a denied release is found by its content, and marked once") {
  MemoryFileSystem fs;
  DeniedReleases releases(fs, kLayout, "app");
  CHECK(releases.list().empty());
  CHECK_FALSE(releases.find("aaa"));
  releases.add(denied("aaa"));
  releases.add(denied("aaa", "exit code 2"));
  releases.add(denied("bbb"));
  CHECK(releases.list().size() == 2);
  const DeniedReleases others(fs, kLayout, "app");
  CHECK(others.find("aaa")->reason == "exit code 2");
  CHECK(others.find("aaa")->job == 4);
  CHECK(DeniedReleases(fs, kLayout, "other").list().empty());
}

TEST_CASE("a mark is cleared by digest, release or version") {
  MemoryFileSystem fs;
  DeniedReleases releases(fs, kLayout, "app");
  for (const std::string name : {"aaa", "1.0.0-aaa", "1.0.0"}) {
    releases.add(denied("aaa"));
    CHECK(releases.clear(name));
    CHECK_FALSE(releases.clear(name));
    CHECK(releases.list().empty());
  }
}

TEST_CASE("marks that cannot be read are an error that names the file") {
  MemoryFileSystem fs;
  make_directories(fs, kLayout.app("app"), 0755);
  write_durably(fs, kLayout.denied("app"), "{\"denied\": [{}]}", 0600);
  try {
    DeniedReleases(fs, kLayout, "app").list();
    FAIL("it was read");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kCorrupt);
    CHECK(error.context().at("file") == kLayout.denied("app"));
  }
}

}  // namespace mcpu::denied_releases_test
