#pragma once

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "daemon/source.hpp"
#include "daemon/worker/source_operation.hpp"
#include "proto/error.hpp"
#include "tests/scratch_directory.hpp"

namespace mcpu {

/// A scratch directory with sources in it, made with ordinary tools, and a way to open them as the
/// worker does.
class SourceFixture {
 public:
  SourceFixture() {
    request.entry_paths = {"bin/app"};
    request.changelog_path = "CHANGELOG.md";
    request.cache_directory = scratch / "cache";
  }

  /// Runs a shell command in the scratch directory, with git free of anybody's settings.
  void run(const std::string& command) const {
    const std::string line =
        "cd '" + scratch.path() +
        "' && export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null"
        " GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=A"
        " GIT_COMMITTER_EMAIL=a@example.org GIT_TERMINAL_PROMPT=0 && (" +
        command + ") >command.log 2>&1";
    INFO(command);
    REQUIRE(std::system(line.c_str()) == 0);
  }

  /// What a command printed, without the newline at its end.
  std::string output(const std::string& command) const {
    run(command);
    std::string text = read("command.log");
    if (text.ends_with('\n')) text.pop_back();
    return text;
  }

  std::string read(const std::string& name) const {
    std::ifstream file(scratch / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  void write(const std::string& name, const std::string& content, mode_t mode = 0644) const {
    const std::filesystem::path path = scratch / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
    REQUIRE(::chmod(path.c_str(), mode) == 0);
  }

  /// An application in the directory `name`: one entry point, one module.
  void make_application(const std::string& name) const {
    write(name + "/bin/app", "#!/bin/sh\necho one\n", 0755);
    write(name + "/lib/part.py", "part = 1\n");
  }

  /// The same, committed to a new checkout and tagged v1.0.0.
  void make_checkout(const std::string& name) const {
    make_application(name);
    run("git init -q -b main " + name + " && cd " + name +
        " && git add -A && git commit -qm one && git tag v1.0.0");
  }

  /// One more commit, with a tag if one is given.
  void commit(const std::string& name, const std::string& content, const std::string& tag) const {
    write(name + "/lib/part.py", content);
    run("cd " + name + " && git commit -qam change" + (tag.empty() ? "" : " && git tag " + tag));
  }

  std::unique_ptr<OpenedSource> open(const std::string& location) {
    request.location = location;
    return open_source(*fs, request, [this](const Notice& notice) { told.push_back(notice); });
  }

  /// The error that opening ends with.
  Error refusal(const std::string& location) {
    try {
      open(location);
    } catch (const Error& error) {
      return error;
    }
    FAIL("nothing was refused");
    return Error(Code::kInternal, "");
  }

  static std::vector<std::string> paths(const OpenedSource& source) {
    std::vector<std::string> out;
    for (const auto& entry : source.resolved.listing.entries()) out.push_back(entry.path);
    return out;
  }

  static std::string content(OpenedSource& source, const std::string& path) {
    const ListingEntry* const entry = source.resolved.listing.find(path);
    REQUIRE(entry != nullptr);
    std::string text;
    source.read(*entry, [&](std::string_view piece) { text += piece; });
    CHECK(Sha256::of(text) == entry->content);
    return text;
  }

  static bool mentions(const Error& error, const std::string& text) {
    return std::string(error.what()).find(text) != std::string::npos;
  }

  ScratchDirectory scratch;
  std::unique_ptr<FileSystem> fs = make_posix_file_system();
  SourceRequest request;
  std::vector<Notice> told;
};

}  // namespace mcpu
