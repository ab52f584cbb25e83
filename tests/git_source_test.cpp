#include "daemon/worker/git_source.hpp"

#include "tests/source_fixture.hpp"

namespace mcpu::git_source_test {

TEST_CASE_FIXTURE(SourceFixture, "a checkout gives HEAD as committed, not the files as they are") {
  make_checkout("checkout");
  write("checkout/lib/part.py", "part = 'edited'\n");
  const auto source = open(scratch / "checkout");
  CHECK(source->resolved.kind == "checkout");
  CHECK(source->resolved.version == "1.0.0");
  CHECK(source->resolved.commit == output("git -C checkout rev-parse HEAD"));
  CHECK_FALSE(source->resolved.modified);
  CHECK(paths(*source) == std::vector<std::string>{"bin/app", "lib/part.py"});
  CHECK(source->resolved.listing.find("bin/app")->executable);
  CHECK(content(*source, "lib/part.py") == "part = 1\n");
}

TEST_CASE_FIXTURE(SourceFixture, "a checkout and a plain copy of it have the same digest") {
  make_checkout("checkout");
  run("ln -s part.py checkout/lib/alias && cd checkout && git add -A && git commit -qm link");
  run("git -C checkout archive --prefix=copy/ HEAD | tar xf -");
  CHECK(open(scratch / "checkout")->resolved.listing.digest() ==
        open(scratch / "copy")->resolved.listing.digest());
}

TEST_CASE_FIXTURE(SourceFixture, "a warning lists what differs from HEAD, ignored files aside") {
  make_checkout("checkout");
  write("checkout/.gitignore", "*.log\n");
  run("cd checkout && git add -A && git commit -qm ignore");
  write("checkout/lib/part.py", "part = 'edited'\n");
  write("checkout/lib/new.py", "new\n");
  write("checkout/noise.log", "x");
  write("checkout/backups/old", "x");
  run("rm checkout/bin/app && mkfifo checkout/pipe");
  const auto source = open(scratch / "checkout");
  REQUIRE(source->resolved.notices.size() == 1);
  const Notice& notice = source->resolved.notices[0];
  CHECK(notice.tier == Tier::kWarning);
  CHECK(notice.id == "source.differs");
  CHECK(notice.fields.at("count") == 3);
  CHECK(notice.fields.at("files") ==
        nlohmann::json::array({"bin/app", "lib/new.py", "lib/part.py"}));
}

TEST_CASE_FIXTURE(SourceFixture, "--worktree takes the tracked files as they are") {
  make_checkout("checkout");
  write("checkout/lib/part.py", "part = 'edited'\n", 0600);
  write("checkout/lib/untracked.py", "x");
  request.worktree = true;
  const auto source = open(scratch / "checkout");
  CHECK(paths(*source) == std::vector<std::string>{"bin/app", "lib/part.py"});
  CHECK(content(*source, "lib/part.py") == "part = 'edited'\n");
  CHECK(source->resolved.modified);
  CHECK(source->resolved.version == "1.0.0");
  run("rm checkout/bin/app");
  CHECK(mentions(refusal(scratch / "checkout"), "no entry point bin/app"));
  request.to = "v1.0.0";
  CHECK(refusal(scratch / "checkout").code() == Code::kInvalidRequest);
}

TEST_CASE_FIXTURE(SourceFixture, "a release is named as git describe --tags names it") {
  make_checkout("checkout");
  commit("checkout", "part = 2\n", "");
  commit("checkout", "part = 3\n", "");
  const std::string described = output("git -C checkout describe --tags");
  CHECK(open(scratch / "checkout")->resolved.version == described.substr(1));
  run("cd checkout && git tag -a v1.1.0 -m annotated");
  CHECK(open(scratch / "checkout")->resolved.version == "1.1.0");
}

TEST_CASE_FIXTURE(SourceFixture, "without a tag the changelog names the release, else the commit") {
  make_checkout("checkout");
  run("git -C checkout tag -d v1.0.0");
  CHECK(open(scratch / "checkout")->resolved.version ==
        output("git -C checkout rev-parse --short=12 HEAD"));
  write("checkout/CHANGELOG.md", "## 0.9.1\n");
  run("cd checkout && git add -A && git commit -qm changes");
  CHECK(open(scratch / "checkout")->resolved.version == "0.9.1");
}

TEST_CASE_FIXTURE(SourceFixture, "a repository gives its highest version, no pre-release") {
  make_checkout("work");
  commit("work", "part = 9\n", "v1.3.9");
  commit("work", "part = 11\n", "v1.3.11");
  commit("work", "part = 12\n", "v1.4.0-rc.1");
  run("cd work && git tag v2 && git tag nightly-99.0 && cd .. && git clone -q --bare work "
      "bare.git");
  for (const std::string& location :
       {scratch / "bare.git", "file://" + (scratch / "work"), "file://" + (scratch / "bare.git")}) {
    INFO(location);
    const auto source = open(location);
    CHECK(source->resolved.kind == "repository");
    CHECK(source->resolved.version == "1.3.11");
    CHECK(content(*source, "lib/part.py") == "part = 11\n");
  }
}

TEST_CASE_FIXTURE(SourceFixture, "--to takes a version, tag, branch or commit") {
  make_checkout("checkout");
  const std::string first = output("git -C checkout rev-parse HEAD");
  commit("checkout", "part = 2\n", "2.0.0");
  run("git -C checkout branch side");
  commit("checkout", "part = 3\n", "v3.0.0");
  const auto part_of = [&](const std::string& to) {
    request.to = to;
    return content(*open(scratch / "checkout"), "lib/part.py");
  };
  CHECK(part_of("1.0.0") == "part = 1\n");
  CHECK(part_of("v1.0.0") == "part = 1\n");
  CHECK(part_of("v2.0.0") == "part = 2\n");
  CHECK(part_of("side") == "part = 2\n");
  CHECK(part_of(first) == "part = 1\n");
  CHECK(part_of(first.substr(0, 8)) == "part = 1\n");
  request.to = "9.9.9";
  const Error missing = refusal(scratch / "checkout");
  CHECK(missing.code() == Code::kNotFound);
  CHECK(mentions(missing, "9.9.9"));
  CHECK(mentions(missing, "v3.0.0, 2.0.0, v1.0.0"));
}

TEST_CASE_FIXTURE(SourceFixture, "a repository without versions or commits says what to do") {
  make_checkout("work");
  run("git -C work tag -d v1.0.0 && git clone -q --bare work bare.git && git init -q empty");
  CHECK(mentions(refusal(scratch / "bare.git"), "--to"));
  CHECK(mentions(refusal(scratch / "empty"), "has no commit yet"));
  run("mkdir nothing && mkdir -p torn/.git");
  CHECK(mentions(refusal(scratch / "torn"), "clone it anew, or move its .git away"));
  CHECK(refusal("file://" + (scratch / "nothing")).code() == Code::kSource);
}

TEST_CASE_FIXTURE(SourceFixture,
                  "submodules and LFS pointers are refused by name unless excluded") {
  make_checkout("checkout");
  SUBCASE("a submodule") {
    run("cd checkout && git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),lib/sub &&"
        " git commit -qm sub");
    CHECK(mentions(refusal(scratch / "checkout"), "lib/sub is a git submodule"));
    request.exclude = {"sub"};
    CHECK_NOTHROW(open(scratch / "checkout"));
  }
  SUBCASE("an LFS pointer") {
    write("checkout/lib/big.bin",
          "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n");
    run("cd checkout && git add -A && git commit -qm lfs");
    CHECK(mentions(refusal(scratch / "checkout"), "lib/big.bin is a Git LFS pointer"));
    request.worktree = true;
    CHECK(mentions(refusal(scratch / "checkout"), "lib/big.bin is a Git LFS pointer"));
  }
}

TEST_CASE_FIXTURE(SourceFixture, "no filter, hook, or other people's setting is ever run or read") {
  make_checkout("checkout");
  write("checkout/.gitattributes", "*.py filter=evil export-subst\n");
  run("cd checkout && git add -A && git commit -qm attributes &&"
      " git config filter.evil.smudge 'touch ../ran; cat' &&"
      " git config filter.evil.clean 'touch ../ran; cat' && git config filter.evil.required true &&"
      " git config core.fsmonitor 'touch ../ran' && rm -f ../ran && touch lib/part.py");
  for (const bool worktree : {false, true}) {
    request.worktree = worktree;
    CHECK(content(*open(scratch / "checkout"), "lib/part.py") == "part = 1\n");
  }
  CHECK_FALSE(std::filesystem::exists(scratch / "ran"));
}

TEST_CASE_FIXTURE(SourceFixture, "a linked work tree is a checkout like any other") {
  make_checkout("checkout");
  run("git -C checkout worktree add -q ../linked -b side");
  write("linked/lib/part.py", "part = 2\n");
  run("cd linked && git commit -qam two");
  const auto source = open(scratch / "linked");
  CHECK(source->resolved.kind == "checkout");
  CHECK(content(*source, "lib/part.py") == "part = 2\n");
}

TEST_CASE_FIXTURE(SourceFixture, "a damaged repository is an error that names the file") {
  make_checkout("checkout");
  run("cd checkout && f=$(git rev-parse HEAD:lib/part.py) &&"
      " rm -f .git/objects/$(echo $f | cut -c1-2)/$(echo $f | cut -c3-)");
  const Error error = refusal(scratch / "checkout");
  CHECK(error.code() == Code::kSource);
  CHECK(mentions(error, (scratch / "checkout") + ": cannot read lib/part.py of commit " +
                            output("git -C checkout rev-parse HEAD")));
  CHECK(mentions(error, "'git fsck'"));
  CHECK(mentions(error, "another release with --to"));
}

TEST_CASE_FIXTURE(SourceFixture, "a tag whose commit is gone is an error, not an earlier release") {
  make_checkout("work");
  commit("work", "part = 2\n", "v2.0.0");
  run("cd work && git tag -a v3.0.0 -m annotated && git clone -q --bare . ../bare.git &&"
      " cd ../bare.git && c=$(git rev-parse v2.0.0) &&"
      " rm -f objects/$(echo $c | cut -c1-2)/$(echo $c | cut -c3-)");
  for (const std::string wanted : {"", "v2.0.0", "v3.0.0"}) {
    INFO(wanted);
    if (!wanted.empty()) request.to = wanted;
    const Error error = refusal(scratch / "bare.git");
    INFO(error.what());
    CHECK(error.code() == Code::kSource);
    CHECK(mentions(error, scratch / "bare.git"));
    CHECK(mentions(error, wanted.empty() ? "v3.0.0" : wanted));
    CHECK(mentions(error, "'git fsck'"));
  }
  request.to = "v1.0.0";
  CHECK(open(scratch / "bare.git")->resolved.version == "1.0.0");
}

TEST_CASE_FIXTURE(SourceFixture, "a tree that holds a name twice is refused by file and commit") {
  make_checkout("checkout");
  const std::string blob = output("git -C checkout rev-parse HEAD:lib/part.py");
  std::string entry("100644 lib.py\0", 14);
  for (std::size_t i = 0; i < blob.size(); i += 2) {
    entry += static_cast<char>(std::stoi(blob.substr(i, 2), nullptr, 16));
  }
  write("checkout/tree", entry + entry);
  run("cd checkout && git update-ref refs/heads/main $(git commit-tree"
      " $(git hash-object -w -t tree --literally tree) -m twice)");
  const Error error = refusal(scratch / "checkout");
  INFO(error.what());
  CHECK(error.code() == Code::kSource);
  CHECK(mentions(error, (scratch / "checkout") + ": lib.py is there twice in commit " +
                            output("git -C checkout rev-parse HEAD")));
  CHECK(mentions(error, "'git fsck'"));
}

TEST_CASE_FIXTURE(SourceFixture, "a tree that is none is an error that names the commit") {
  make_checkout("checkout");
  run("cd checkout && printf rubbish >tree && git update-ref refs/heads/main $(git commit-tree"
      " $(git hash-object -w -t tree --literally tree) -m rubbish)");
  const Error error = refusal(scratch / "checkout");
  CHECK(error.code() == Code::kSource);
  CHECK(mentions(error, (scratch / "checkout") + ": cannot read the tree of commit " +
                            output("git -C checkout rev-parse HEAD")));
  CHECK(mentions(error, "'git fsck'"));
}

TEST_CASE_FIXTURE(SourceFixture, "limits hold for committed trees before contents are unpacked") {
  make_checkout("checkout");
  request.limits.max_file_bytes = 12;
  CHECK(mentions(refusal(scratch / "checkout"), "is larger than"));
  request.limits = {};
  request.limits.max_entries = 1;
  CHECK(mentions(refusal(scratch / "checkout"), "more than 1 files"));
}

TEST_CASE_FIXTURE(SourceFixture, "tags with characters no release can have are made to fit") {
  make_checkout("checkout");
  run("cd checkout && git tag -d v1.0.0 && git tag release/2026~x || git tag 'release/2026#x'");
  CHECK(open(scratch / "checkout")->resolved.version == "release-2026-x");
}

TEST_CASE_FIXTURE(SourceFixture, "digests kept from the last time are those of the contents") {
  make_checkout("checkout");
  run("cd checkout && for i in $(seq 400); do echo $i >lib/$i; done && git add -A &&"
      " git commit -qm many");
  const Sha256 first = open(scratch / "checkout")->resolved.listing.digest();
  REQUIRE(output("ls cache/*/blobs | wc -l") == "1");
  CHECK(open(scratch / "checkout")->resolved.listing.digest() == first);
  commit("checkout", "part = 2\n", "");
  CHECK(content(*open(scratch / "checkout"), "lib/part.py") == "part = 2\n");
  run("git -C checkout reset -q --hard HEAD~1 && for f in cache/*/blobs; do"
      " printf x | dd of=$f bs=1 seek=100 conv=notrunc; done");
  CHECK(open(scratch / "checkout")->resolved.listing.digest() == first);
}

}  // namespace mcpu::git_source_test
