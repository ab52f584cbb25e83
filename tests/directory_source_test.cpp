#include "daemon/worker/directory_source.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/text.hpp"
#include "tests/source_fixture.hpp"

namespace mcpu::directory_source_test {

TEST_CASE_FIXTURE(SourceFixture, "a plain directory is taken with modes, links and empty places") {
  make_application("plain");
  run("cd plain && ln -s part.py lib/alias.py && mkdir empty");
  const auto source = open(scratch / "plain");
  CHECK(source->resolved.kind == "directory");
  CHECK(source->resolved.commit.empty());
  CHECK(paths(*source) ==
        std::vector<std::string>{"bin/app", "empty", "lib/alias.py", "lib/part.py"});
  CHECK(source->resolved.listing.find("bin/app")->executable);
  CHECK(source->resolved.listing.find("empty")->type == EntryType::kEmptyDirectory);
  CHECK(source->resolved.listing.find("lib/alias.py")->target == "part.py");
  CHECK(content(*source, "lib/part.py") == "part = 1\n");
  CHECK(source->resolved.version == "0-" + source->resolved.listing.digest().hex().substr(0, 8));
}

TEST_CASE_FIXTURE(SourceFixture,
                  "what never belongs to a release stays out, and what is excluded") {
  make_application("plain");
  run("cd plain && mkdir -p backups/x lib/__pycache__ lib/backups doc/deep &&"
      " touch backups/x/1 .env .env.local lib/__pycache__/part.pyc lib/left.pyc lib/backups/keep"
      " doc/deep/a.md doc/b.md lib/c.md && chmod 600 .env");
  request.exclude = {"doc/deep", "lib/*.md"};
  CHECK(paths(*open(scratch / "plain")) ==
        std::vector<std::string>{"bin/app", "doc/b.md", "lib/backups/keep", "lib/part.py"});
}

TEST_CASE_FIXTURE(SourceFixture, "the changelog names the version of a plain directory") {
  make_application("plain");
  write("plain/CHANGELOG.md", "# Changes\n## v2.5.0\n- new\n");
  const auto source = open(scratch / "plain");
  CHECK(source->resolved.version == "2.5.0");
  CHECK(source->resolved.changelog == "# Changes\n## v2.5.0\n- new\n");
}

TEST_CASE_FIXTURE(SourceFixture, "a missing execute bit of an entry point is set, with a warning") {
  make_application("plain");
  write("plain/bin/app", "#!/bin/sh\n", 0644);
  const auto source = open(scratch / "plain");
  CHECK(source->resolved.listing.find("bin/app")->executable);
  REQUIRE(source->resolved.notices.size() == 1);
  CHECK(source->resolved.notices[0].id == "source.made_executable");
  CHECK(source->resolved.notices[0].tier == Tier::kWarning);
  CHECK(source->resolved.notices[0].fields.at("path") == "bin/app");
}

TEST_CASE_FIXTURE(SourceFixture, "an entry point may be a link to a file of the tree") {
  make_application("plain");
  run("cd plain && mv bin/app lib/real && chmod 644 lib/real && ln -s ../lib/real bin/app");
  CHECK(open(scratch / "plain")->resolved.listing.find("lib/real")->executable);
  run("cd plain && ln -sf ../../outside bin/app");
  CHECK(mentions(refusal(scratch / "plain"), "bin/app is a link to ../../outside, which is no"));
  run("cd plain && rm bin/app && mkdir bin/app && touch bin/app/main");
  CHECK(mentions(refusal(scratch / "plain"), "bin/app is a directory, not a program"));
}

TEST_CASE_FIXTURE(SourceFixture, "a source that is not there, empty or something else is named") {
  CHECK(mentions(refusal(scratch / "nothing"), "does not exist"));
  run("mkdir hollow wrong && touch wrong/file");
  CHECK(mentions(refusal(scratch / "hollow"), "is empty"));
  const Error wrong = refusal(scratch / "wrong");
  CHECK(wrong.code() == Code::kSource);
  CHECK(mentions(wrong, "has no entry point bin/app"));
  CHECK(mentions(refusal(scratch / "wrong/file"), "is not a directory"));
  CHECK(refusal("").code() == Code::kNoSource);
}

TEST_CASE_FIXTURE(SourceFixture, "what others may not read is refused by name unless excluded") {
  make_application("plain");
  write("plain/lib/secret", "token", 0640);
  const Error file = refusal(scratch / "plain");
  CHECK(file.code() == Code::kSource);
  CHECK(mentions(file, "lib/secret"));
  CHECK(mentions(file, "chmod o+r"));
  request.exclude = {"secret"};
  CHECK_NOTHROW(open(scratch / "plain"));
  run("mkdir -m 750 plain/private && touch plain/private/x");
  CHECK(mentions(refusal(scratch / "plain"), "private"));
}

TEST_CASE_FIXTURE(SourceFixture, "FIFOs, sockets and set-uid files are refused and stop nothing") {
  make_application("plain");
  SUBCASE("a FIFO") {
    run("mkfifo plain/lib/pipe");
    CHECK(mentions(refusal(scratch / "plain"), "lib/pipe is a FIFO"));
  }
  SUBCASE("a socket") {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (scratch / "plain/s").copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    ::close(fd);
    CHECK(mentions(refusal(scratch / "plain"), "s is a socket"));
  }
  SUBCASE("a set-uid file") {
    write("plain/lib/root", "x", 04755);
    CHECK(mentions(refusal(scratch / "plain"), "lib/root is set-uid"));
  }
}

TEST_CASE_FIXTURE(SourceFixture, "limits are kept and named") {
  make_application("plain");
  write("plain/lib/large", std::string(5000, 'x'));
  SUBCASE("files") {
    request.limits.max_entries = 2;
    CHECK(mentions(refusal(scratch / "plain"), "more than 2 files"));
  }
  SUBCASE("one file") {
    request.limits.max_file_bytes = 4999;
    CHECK(mentions(refusal(scratch / "plain"), "lib/large is larger than"));
  }
  SUBCASE("all together") {
    request.limits.max_total_bytes = 5000;
    CHECK(mentions(refusal(scratch / "plain"), "is larger than"));
  }
  SUBCASE("a path") {
    request.limits.max_path_bytes = 8;
    CHECK(mentions(refusal(scratch / "plain"),
                   "more than 8 bytes; exclude it, or raise limits.path_bytes"));
  }
}

TEST_CASE_FIXTURE(SourceFixture, "a directory has neither versions nor tracked files") {
  make_application("plain");
  request.to = "1.0.0";
  CHECK(mentions(refusal(scratch / "plain"), "--to needs a git"));
  request.to.reset();
  request.worktree = true;
  CHECK(mentions(refusal(scratch / "plain"), "--worktree needs a git"));
}

TEST_CASE_FIXTURE(SourceFixture, "names with spaces, Chinese and newlines are listed as they are") {
  make_application("plain");
  write("plain/lib/名 字.py", "x");
  write("plain/lib/a\nb", "x");
  const auto source = open(scratch / "plain");
  CHECK(source->resolved.listing.find("lib/名 字.py") != nullptr);
  REQUIRE(source->resolved.listing.find("lib/a\nb") != nullptr);  // the daemon refuses it by name
  CHECK_THROWS_AS(validate(source->resolved.listing, request.limits), Error);
}

TEST_CASE_FIXTURE(SourceFixture, "a file that shrinks after it was listed does not pass for it") {
  make_application("plain");
  const auto source = open(scratch / "plain");
  run("rm plain/lib/part.py");
  const ListingEntry entry = *source->resolved.listing.find("lib/part.py");
  CHECK_THROWS_AS(source->read(entry, [](std::string_view) {}), Error);
}

}  // namespace mcpu::directory_source_test
