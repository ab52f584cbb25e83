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

namespace {

/// The number of each event, and of a loss where it begins.
std::string shape(const std::vector<std::shared_ptr<const StoredEvent>>& events) {
  std::string text;
  for (const auto& one : events) {
    const Event& event = one->event;
    const bool lost = event.id == "log.damaged";
    text += (text.empty() ? "" : " ") + (lost ? event.fields.at("first").dump() + "-" : "") +
            std::to_string(event.number);
  }
  return text;
}

/// The lines of a log of 9 events that is complete.
std::string complete(const std::string& damaged, std::uint64_t until, std::uint64_t from) {
  Event last;
  last.job = 3;
  last.number = 9;
  last.id = "job.finished";
  last.last = true;
  return Fixture::lines(1, until) + damaged + Fixture::lines(from, 8) + make_stored(last)->json +
         "\n";
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "what cannot be read of a complete log is told, and the rest is read") {
  store(complete("gar\nbage\n", 1, 4));
  CHECK(shape(EventReader(*fs, layout).read(3, 1, UINT64_MAX, 99)) == "1 2-3 4 5 6 7 8 9");
  EventReader by_parts(*fs, layout);
  std::string text;
  for (std::uint64_t from = 1; from <= 9;) {
    const auto events = by_parts.read(3, from, UINT64_MAX, 2);
    REQUIRE_FALSE(events.empty());
    text += shape(events) + "|";
    from = events.back()->event.number + 1;
  }
  CHECK(text == "1 2-3|4 5|6 7|8 9|");
  for (std::uint64_t from = 1; from <= 10; ++from) {  // each by a reader who knows nothing
    const auto events = EventReader(*fs, layout).read(3, from, UINT64_MAX, 1);
    CHECK(events.size() == (from < 10 ? 1 : 0));
    if (!events.empty()) CHECK(events.front()->event.number == (from == 2 ? 3 : from));
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "the beginning of a log can be lost, and a line too much loses nothing") {
  store(complete("garbage\n", 0, 2));
  CHECK(shape(EventReader(*fs, layout).read(3, 1, UINT64_MAX, 99)) == "1-1 2 3 4 5 6 7 8 9");
  store(complete("garbage\n", 3, 4));
  CHECK(shape(EventReader(*fs, layout).read(3, 1, UINT64_MAX, 99)) == "1 2 3 4 5 6 7 8 9");
}

TEST_CASE_FIXTURE(Fixture, "a reader stops at damage and finds what was written since") {
  store(lines(1, 2) + "garbage\n" + lines(3, 3));
  EventReader reader(*fs, layout);
  CHECK(reader.read(3, 1, UINT64_MAX, 9).size() == 2);
  store(lines(1, 3));
  CHECK(reader.read(3, 3, UINT64_MAX, 9).size() == 1);
}

}  // namespace mcpu::event_file_test
