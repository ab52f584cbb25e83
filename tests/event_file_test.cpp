#include "daemon/event_file.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "tests/scratch_directory.hpp"

namespace mcpu::event_file_test {

namespace {

struct Fixture {
  Fixture() { std::filesystem::create_directories(layout.job(3)); }

  /// Lines of the events from one number to another.
  static std::string lines(std::uint64_t from, std::uint64_t to, JobId job = 3) {
    std::string text;
    for (; from <= to; ++from) {
      Event event;
      event.job = job;
      event.number = from;
      event.id = "summary.line";
      event.fields = {{"text", std::string(200, 'x')}};
      text += make_stored(event)->json + "\n";
    }
    return text;
  }
  void store(const std::string& bytes) const { std::ofstream(layout.events(3)) << bytes; }

  ScratchDirectory directory;
  Layout layout{directory.path(), ""};
  std::unique_ptr<FileSystem> fs = make_posix_file_system();
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "what is appended is found again by the next opening") {
  EventFile(*fs, layout, 3).append(lines(1, 5));
  EventFile again(*fs, layout, 3);
  CHECK(again.last_number() == 5);
  CHECK(again.damaged().empty());
}

TEST_CASE_FIXTURE(Fixture, "a file cut at any byte keeps the whole events before the cut") {
  const std::string whole = lines(1, 3);
  for (std::size_t cut = 0; cut <= whole.size(); cut += 7) {
    store(whole.substr(0, cut));
    EventFile file(*fs, layout, 3);
    const auto kept = std::count(whole.begin(), whole.begin() + static_cast<long>(cut), '\n');
    CHECK(file.last_number() == static_cast<std::uint64_t>(kept));
    CHECK(file.damaged().empty());
    CHECK(std::filesystem::file_size(layout.events(3)) == file.size_bytes());
  }
}

TEST_CASE_FIXTURE(Fixture, "events of another job or out of order are damage") {
  store(lines(1, 2) + lines(1, 1, 4) + lines(3, 3));
  EventFile file(*fs, layout, 3);
  CHECK(file.last_number() == 2);
  CHECK(std::filesystem::exists(file.damaged()));
}

TEST_CASE_FIXTURE(Fixture, "a long file is opened by its end") {
  store(lines(1, 9000) + "torn");
  EventFile file(*fs, layout, 3);
  CHECK(file.last_number() == 9000);
  file.append(lines(9001, 9001));
  EventReader reader(*fs, layout);
  CHECK(reader.read(3, 9001, UINT64_MAX, 9).size() == 1);
  CHECK(reader.read(3, 4711, 4712, 9).size() == 2);
  CHECK(reader.read(3, 4711, UINT64_MAX, 1).front()->event.number == 4711);
}

TEST_CASE_FIXTURE(Fixture, "a reader stops at damage and finds what was written since") {
  store(lines(1, 2) + "garbage\n" + lines(3, 3));
  EventReader reader(*fs, layout);
  CHECK(reader.read(3, 1, UINT64_MAX, 9).size() == 2);
  store(lines(1, 3));
  CHECK(reader.read(3, 3, UINT64_MAX, 9).size() == 1);
}

}  // namespace mcpu::event_file_test
