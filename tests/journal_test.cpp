#include "daemon/journal.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <functional>

#include "daemon/durable.hpp"
#include "memory_file_system.hpp"
#include "proto/error.hpp"
#include "scratch_directory.hpp"

namespace mcpu::journal_test {

using nlohmann::json;

namespace {

/// A journal on any file system.
struct Place {
  std::unique_ptr<FileSystem> fs;
  std::string directory;
  std::string path = directory + "/journal";

  std::string content() { return read_file(*fs, path, 10'000'000); }
  /// The bytes up to the last that is not zero.
  std::string written() {
    std::string bytes = content();
    bytes.resize(bytes.find_last_not_of('\0') + 1);
    return bytes;
  }
  void put(const std::string& bytes) {
    const auto file = fs->open_output(path);
    file->truncate(0);
    file->truncate(Journal::kJournalBytes);
    file->write_at(0, bytes);
  }
  std::vector<json> reopened() { return Journal::open(*fs, path)->records(); }
  bool corrupt() {
    try {
      Journal::open(*fs, path);
    } catch (const Error& error) {
      return error.code() == Code::kCorrupt;
    }
    return false;
  }
};

struct Fixture : ScratchDirectory, Place {
  Fixture() : Place{make_posix_file_system(), ScratchDirectory::path()} {}
  using Place::path;
};

/// For cases that write the journal hundreds of times.
struct InMemory : Place {
  InMemory() : Place{std::make_unique<MemoryFileSystem>(), ""} {}
};

json record(int number) { return {{"step", number}, {"text", "a\nb \xE4\xBD\xA0"}}; }

}  // namespace

TEST_CASE_FIXTURE(Fixture, "records written are the records read after a restart") {
  {
    const auto journal = Journal::create(*fs, path, record(0));
    journal->append(record(1));
  }
  const auto journal = Journal::open(*fs, path);
  REQUIRE(journal != nullptr);
  journal->append(record(2));
  CHECK(journal->records() == std::vector<json>{record(0), record(1), record(2)});
  CHECK(reopened() == journal->records());
}

TEST_CASE_FIXTURE(Fixture, "no journal is no error") { CHECK(Journal::open(*fs, path) == nullptr); }

TEST_CASE_FIXTURE(Fixture, "a journal is never made over another") {
  Journal::create(*fs, path, record(0));
  CHECK_THROWS_WITH_AS(Journal::create(*fs, path, record(1)), doctest::Contains("File exists"),
                       Error);
  CHECK(reopened() == std::vector<json>{record(0)});
  CHECK(fs->list(directory) == std::vector<std::string>{"journal"});
}

TEST_CASE_FIXTURE(InMemory, "a torn final record is dropped, wherever it was torn") {
  std::size_t whole = 0;
  {
    const auto journal = Journal::create(*fs, path, record(0));
    journal->append(record(1));
    whole = written().size();
    journal->append(record(2));
  }
  const std::string all = written();
  for (std::size_t size = whole; size < all.size(); ++size) {
    put(all.substr(0, size));
    REQUIRE(reopened() == std::vector<json>{record(0), record(1)});
    const auto journal = Journal::open(*fs, path);
    journal->append(record(7));
    REQUIRE(reopened() == std::vector<json>{record(0), record(1), record(7)});
    // The end without its beginning: the pages of one record reach the disk in any order.
    put(all.substr(0, whole) + std::string(size - whole, '\0') + all.substr(size));
    REQUIRE(reopened().size() == (size == whole ? 3U : 2U));
  }
}

TEST_CASE_FIXTURE(InMemory, "a flipped byte anywhere before the final record is corruption") {
  std::size_t last = 0;
  {
    const auto journal = Journal::create(*fs, path, record(0));
    journal->append(record(1));
    last = written().size();
    journal->append(record(2));
  }
  const std::string all = written();
  for (std::size_t i = 0; i < last; ++i) {
    for (const int flip : {0x01, 0x20, 0x80}) {
      std::string bytes = all;
      bytes[i] = static_cast<char>(bytes[i] ^ flip);
      put(bytes);
      CAPTURE(i);
      REQUIRE(corrupt());
    }
  }
}

TEST_CASE_FIXTURE(InMemory, "a record moved, repeated or left out is corruption") {
  std::vector<std::size_t> ends;
  {
    const auto journal = Journal::create(*fs, path, record(0));
    for (int i = 1; i <= 4; ++i) {
      ends.push_back(written().size());
      journal->append(record(i));
    }
  }
  const std::string all = written();
  const std::string start = all.substr(0, ends[0]);
  const auto line = [&](std::size_t i) { return all.substr(ends[i - 1], ends[i] - ends[i - 1]); };
  const std::string rest = all.substr(ends[3]);
  put(start + line(1) + line(2) + line(3) + rest);
  CHECK(reopened().size() == 5);
  put(start + line(2) + line(1) + line(3) + rest);
  CHECK(corrupt());
  put(start + line(1) + line(1) + line(2) + line(3) + rest);
  CHECK(corrupt());
  put(start + line(2) + line(3) + rest);
  CHECK(corrupt());
}

TEST_CASE_FIXTURE(Fixture, "an empty file and one of a newer format are refused") {
  fs->create(path, 0600);
  CHECK(corrupt());
  put("mcp-upgraded journal 2\n");
  CHECK(corrupt());
  put("mcp-upgraded journal 1\n");
  CHECK(corrupt());
}

TEST_CASE_FIXTURE(Fixture,
                  "the journal takes its space in advance and grows beyond it only when full") {
  const auto journal = Journal::create(*fs, path, record(0));
  const json big = {{"text", std::string(50'000, 'x')}};
  for (int i = 0; i < 4; ++i) journal->append(big);
  CHECK(fs->info(path)->size_bytes == Journal::kJournalBytes);
  for (int i = 0; i < 4; ++i) journal->append(big);
  CHECK(fs->info(path)->size_bytes > Journal::kJournalBytes);
  CHECK(reopened() == journal->records());
}

TEST_CASE_FIXTURE(Fixture, "text that is not UTF-8 does not stop a record") {
  const auto journal = Journal::create(*fs, path, {{"output", "\xC4\xE3 cut \xC4"}});
  journal->append({{"output", "\xFF"}});
  CHECK(reopened()[1]["output"] == "\xEF\xBF\xBD");
  CHECK(reopened() == journal->records());
}

TEST_CASE_FIXTURE(Fixture, "a removed journal is gone and takes nothing more") {
  const auto journal = Journal::create(*fs, path, record(0));
  journal->remove();
  CHECK(fs->list(directory).empty());
  CHECK_THROWS_AS(journal->append(record(1)), Error);
}

namespace {

std::vector<json> records_of(MemoryFileSystem& fs) {
  const auto journal = Journal::open(fs, "/journal");
  return journal == nullptr ? std::vector<json>{} : journal->records();
}

/// Stops `run` before each of its changing calls in turn, by a kill and by a power cut, and passes
/// what the journal then holds to `judge`, with whether `run` had returned.
void stop_everywhere(const std::function<void(MemoryFileSystem&)>& prepare,
                     const std::function<void(MemoryFileSystem&)>& run,
                     const std::function<void(const std::vector<json>&, bool)>& judge) {
  for (const Loss loss : {Loss::kNothing, Loss::kUnsynced}) {
    bool finished = false;
    for (std::uint64_t call = 1; !finished; ++call) {
      MemoryFileSystem fs;
      prepare(fs);
      fs.restart(Loss::kNothing);
      fs.crash_at(call);
      try {
        run(fs);
        finished = true;
      } catch (const SimulatedCrash&) {
        // What it left is judged.
      }
      fs.restart(loss);
      CAPTURE(call);
      judge(records_of(fs), finished);
      // Whatever was left, the next daemon can go on.
      if (const auto journal = Journal::open(fs, "/journal")) journal->remove();
      CHECK(Journal::create(fs, "/journal", record(9))->records().size() == 1);
      CHECK(fs.list("/") == std::vector<std::string>{"journal"});
    }
  }
}

void create(MemoryFileSystem& fs) { Journal::create(fs, "/journal", record(0)); }

}  // namespace

TEST_CASE("a journal whose creation is stopped anywhere is there with its record or not at all") {
  stop_everywhere([](MemoryFileSystem&) {}, create,
                  [](const std::vector<json>& records, bool finished) {
                    const bool there = records == std::vector<json>{record(0)};
                    CHECK((there || (records.empty() && !finished)));
                  });
}

TEST_CASE("an append that is stopped anywhere happened or did not") {
  const std::vector<json> before{record(0), record(1)};
  const std::vector<json> after{record(0), record(1), record(2)};
  const auto prepare = [](MemoryFileSystem& fs) {
    Journal::create(fs, "/journal", record(0))->append(record(1));
  };
  const auto run = [](MemoryFileSystem& fs) { Journal::open(fs, "/journal")->append(record(2)); };
  stop_everywhere(prepare, run, [&](const std::vector<json>& records, bool finished) {
    CHECK((records == after || (records == before && !finished)));
  });
}

TEST_CASE("an append behind a torn record that is stopped anywhere happened or did not") {
  const std::vector<json> before{record(0)};
  const std::vector<json> after{record(0), record(2)};
  const auto prepare = [](MemoryFileSystem& fs) {
    create(fs);
    const auto journal = Journal::open(fs, "/journal");
    fs.crash_at(fs.changing_calls() + 1);
    CHECK_THROWS_AS(journal->append({{"text", std::string(500, 'x')}}), SimulatedCrash);
  };
  const auto run = [](MemoryFileSystem& fs) { Journal::open(fs, "/journal")->append(record(2)); };
  stop_everywhere(prepare, run, [&](const std::vector<json>& records, bool finished) {
    CHECK((records == after || (records == before && !finished)));
  });
}

TEST_CASE("a removal that is stopped anywhere happened or did not") {
  const auto run = [](MemoryFileSystem& fs) { Journal::open(fs, "/journal")->remove(); };
  stop_everywhere(create, run, [](const std::vector<json>& records, bool finished) {
    CHECK((records.empty() || (records == std::vector<json>{record(0)} && !finished)));
  });
}

TEST_CASE("a journal that cannot be made leaves nothing, whichever call fails") {
  bool made = false;
  for (std::uint64_t call = 1; !made; ++call) {
    MemoryFileSystem fs;
    fs.fail_at(call, ENOSPC);
    try {
      create(fs);
      made = true;
    } catch (const Error& error) {
      CHECK(error.sys() == ENOSPC);
      CHECK(fs.list("/").empty());
    }
  }
}

TEST_CASE("a failed write can be repeated, after a failed sync nothing more is written") {
  MemoryFileSystem fs;
  const auto journal = Journal::create(fs, "/journal", record(0));
  fs.fail_at(fs.changing_calls() + 1, ENOSPC);
  CHECK_THROWS_AS(journal->append(record(1)), Error);
  journal->append(record(2));
  CHECK(records_of(fs) == std::vector<json>{record(0), record(2)});
  fs.fail_at(fs.changing_calls() + 2, EIO);
  CHECK_THROWS_AS(journal->append(record(3)), Error);
  const std::uint64_t calls = fs.changing_calls();
  CHECK_THROWS_WITH_AS(journal->append(record(4)), doctest::Contains("Input/output error"), Error);
  CHECK(fs.changing_calls() == calls);
}

}  // namespace mcpu::journal_test
