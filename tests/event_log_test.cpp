#include "daemon/event_log.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>

#include "proto/error.hpp"
#include "tests/scratch_directory.hpp"

namespace mcpu::event_log_test {

namespace {

/// The real file system with writes and syncs that can be made to fail.
class FailingFile : public OutputFile {
 public:
  FailingFile(std::unique_ptr<OutputFile> file, std::atomic<int>& writes, std::atomic<int>& syncs)
      : file_(std::move(file)), writes_(writes), syncs_(syncs) {}
  void write_at(std::uint64_t offset, std::string_view bytes) override {
    if (writes_ > 0) {
      file_->write_at(offset, bytes.substr(0, bytes.size() / 2));
      throw io_error("write", "events", ENOSPC);
    }
    file_->write_at(offset, bytes);
  }
  void truncate(std::uint64_t size_bytes) override { file_->truncate(size_bytes); }
  void sync() override {
    if (syncs_ > 0) throw io_error("sync", "events", EIO);
    file_->sync();
  }

 private:
  std::unique_ptr<OutputFile> file_;
  std::atomic<int>&writes_, &syncs_;
};

/// Forwards everything; only the output files are its own.
class FailingFileSystem : public FileSystem {
 public:
  std::atomic<int> failing_writes{0}, failing_syncs{0};

  std::optional<FileInfo> info(const std::string& path) override { return real_->info(path); }
  std::vector<std::string> list(const std::string& path) override { return real_->list(path); }
  std::string read_link(const std::string& path) override { return real_->read_link(path); }
  std::unique_ptr<InputFile> open(const std::string& path) override { return real_->open(path); }
  SpaceInfo space(const std::string& path) override { return real_->space(path); }
  bool writable(const std::string& path) override { return real_->writable(path); }
  std::unique_ptr<OutputFile> create(const std::string& path, std::uint32_t mode) override {
    return wrap(real_->create(path, mode));
  }
  std::unique_ptr<OutputFile> open_output(const std::string& path) override {
    return wrap(real_->open_output(path));
  }
  void make_directory(const std::string& path, std::uint32_t mode) override {
    real_->make_directory(path, mode);
  }
  void make_link(const std::string& target, const std::string& path) override {
    real_->make_link(target, path);
  }
  void hard_link(const std::string& existing, const std::string& path) override {
    real_->hard_link(existing, path);
  }
  bool reflink(const std::string& existing, const std::string& path, std::uint32_t mode) override {
    return real_->reflink(existing, path, mode);
  }
  void rename(const std::string& from, const std::string& to, IfExists if_exists) override {
    real_->rename(from, to, if_exists);
  }
  void remove_file(const std::string& path) override { real_->remove_file(path); }
  void remove_directory(const std::string& path) override { real_->remove_directory(path); }
  void set_mode(const std::string& path, std::uint32_t mode) override {
    real_->set_mode(path, mode);
  }
  void set_owner(const std::string& path, std::uint32_t uid, std::uint32_t gid) override {
    real_->set_owner(path, uid, gid);
  }
  void set_times(const std::string& path, std::int64_t mtime_ns) override {
    real_->set_times(path, mtime_ns);
  }
  void sync_directory(const std::string& path) override { real_->sync_directory(path); }
  void sync_all(std::span<const std::string> paths) override { real_->sync_all(paths); }
  std::unique_ptr<FileLock> lock(const std::string& path, LockKind kind,
                                 std::chrono::milliseconds wait) override {
    return real_->lock(path, kind, wait);
  }

 private:
  std::unique_ptr<OutputFile> wrap(std::unique_ptr<OutputFile> file) {
    return std::make_unique<FailingFile>(std::move(file), failing_writes, failing_syncs);
  }

  std::unique_ptr<FileSystem> real_ = make_posix_file_system();
};

struct Fixture {
  Fixture() { add_job(1); }

  void add_job(JobId job) { std::filesystem::create_directories(layout.job(job)); }
  std::uint64_t say(EventLog& log, const std::string& text, bool last = false, JobId job = 1) {
    return log.emit(job, Tier::kInfo, Phase::kStage, "summary.line", {{"text", text}}, {}, last);
  }
  void append_bytes(JobId job, std::string_view bytes) const {
    std::ofstream(layout.events(job), std::ios::app) << bytes;
  }
  std::string stored(JobId job) const {
    std::ifstream file(layout.events(job));
    return {std::istreambuf_iterator<char>(file), {}};
  }

  ScratchDirectory directory;
  Layout layout{directory.path(), ""};
  FailingFileSystem fs;
};

std::vector<std::string> texts(EventLog& log, JobId job, std::uint64_t from = 1,
                               std::size_t limit = 1000) {
  std::vector<std::string> all;
  for (const auto& stored : log.read(job, from, limit)) all.push_back(stored->event.text);
  return all;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE_FIXTURE(Fixture, "events are numbered from one and on disk after a flush") {
  EventLog log(fs, layout);
  log.open(1);
  CHECK(say(log, "a") == 1);
  CHECK(say(log, "b") == 2);
  log.flush(1);
  CHECK(texts(log, 1) == Texts{"a", "b"});
  CHECK(texts(log, 1, 2) == Texts{"b"});
  CHECK(texts(log, 1, 1, 1) == Texts{"a"});
  CHECK(texts(log, 1, 3).empty());
  const std::string file = stored(1);
  CHECK(std::count(file.begin(), file.end(), '\n') == 2);
  struct stat info {};
  CHECK(::stat(layout.events(1).c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
}

TEST_CASE_FIXTURE(Fixture,
                  "an event is visible only after its sync, and the listener hears of it") {
  std::atomic<int> heard{0};
  std::atomic<bool> seen_early{false};
  EventLog log(fs, layout);  // its thread may call the listener until its end
  log.on_durable([&] {
    ++heard;
    if (stored(1).find("first") == std::string::npos) seen_early = true;
  });
  log.open(1);
  say(log, "first");
  log.flush(1);
  log.close(1);
  CHECK_FALSE(seen_early);
  CHECK(log.sync_count() >= 1);
}

TEST_CASE_FIXTURE(Fixture, "a burst of events shares a few syncs") {
  EventLog log(fs, layout);
  log.open(1);
  for (int i = 0; i < 500; ++i) say(log, "line");
  log.flush(1);
  CHECK(log.read(1, 1, 1000).size() == 500);
  CHECK(log.sync_count() < 100);
}

TEST_CASE_FIXTURE(Fixture, "a closed log is read from disk, from any number, without gaps") {
  EventLog log(fs, layout);
  log.open(1);
  for (int i = 1; i <= 1000; ++i) say(log, std::to_string(i), i == 1000);
  log.flush(1);
  log.close(1);
  CHECK(say(log, "too late") == 0);
  CHECK(texts(log, 1, 700, 2) == Texts{"700", "701"});
  std::uint64_t next = 1;
  for (;;) {
    const auto batch = log.read(1, next, 64);
    if (batch.empty()) break;
    for (const auto& each : batch) CHECK(each->event.number == next++);
  }
  CHECK(next == 1001);
  CHECK(log.read(1, 1000, 1).front()->event.last);
}

TEST_CASE_FIXTURE(Fixture,
                  "more events than are kept in memory can all be read while the log is open") {
  EventLog log(fs, layout);
  log.open(1);
  const std::size_t count = EventLog::kRecentEvents + 500;
  for (std::size_t i = 1; i <= count; ++i) say(log, std::to_string(i));
  log.flush(1);
  CHECK(texts(log, 1, 3, 2) == Texts{"3", "4"});
  CHECK(texts(log, 1, 5, 2) == Texts{"5", "6"});
  CHECK(texts(log, 1, count, 9) == Texts{std::to_string(count)});
}

TEST_CASE_FIXTURE(Fixture, "a log that does not exist is not found") {
  EventLog log(fs, layout);
  try {
    log.read(99, 1, 1);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kNotFound);
    CHECK(error.context().at("what") == "job 99");
  }
}

TEST_CASE_FIXTURE(Fixture, "numbering goes on after a restart") {
  {
    EventLog log(fs, layout);
    log.open(1);
    say(log, "before");
  }
  EventLog log(fs, layout);
  log.open(1);
  CHECK(say(log, "after") == 2);
  log.flush(1);
  CHECK(texts(log, 1) == Texts{"before", "after"});
}

TEST_CASE_FIXTURE(Fixture, "what is opened again right after its close goes on behind it") {
  EventLog log(fs, layout);
  for (std::uint64_t number = 1; number <= 100; ++number) {
    log.open(1);
    CHECK(say(log, std::to_string(number)) == number);
    log.close(1);
  }
  log.open(1);
  log.flush(1);
  CHECK(log.read(1, 1, 200).size() == 100);
}

TEST_CASE_FIXTURE(Fixture, "a torn final record is dropped and overwritten") {
  {
    EventLog log(fs, layout);
    log.open(1);
    say(log, "whole");
  }
  append_bytes(1, R"({"job":1,"number":2,"te)");
  EventLog log(fs, layout);
  CHECK(texts(log, 1) == Texts{"whole"});
  log.open(1);
  CHECK(say(log, "next") == 2);
  log.flush(1);
  CHECK(texts(log, 1) == Texts{"whole", "next"});
  CHECK(stored(1).find("\"te\n") == std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "events behind damage are set aside, never thrown away") {
  {
    EventLog log(fs, layout);
    log.open(1);
    say(log, "one");
    say(log, "two");
    say(log, "three");
  }
  std::string bytes = stored(1);
  bytes[bytes.find("two") - 20] = '\0';
  std::ofstream(layout.events(1)) << bytes;
  EventLog log(fs, layout);
  log.open(1);
  log.flush(1);
  const auto events = log.read(1, 1, 10);
  REQUIRE(events.size() == 2);
  CHECK(events[1]->event.id == "state.damaged");
  std::ifstream aside(events[1]->event.fields.at("aside").get<std::string>());
  CHECK(std::string(std::istreambuf_iterator<char>(aside), {}) == bytes);
}

TEST_CASE_FIXTURE(Fixture, "a full disk fails the flush, shows the events, and heals") {
  EventLog log(fs, layout);
  log.open(1);
  say(log, "fine");
  log.flush(1);
  fs.failing_writes = 1;
  say(log, "lost?");
  CHECK_THROWS_AS(log.flush(1), Error);
  CHECK_THROWS_AS(log.flush(1), Error);
  CHECK(texts(log, 1) == Texts{"fine", "lost?"});
  CHECK(log.failure().find("No space") != std::string::npos);
  fs.failing_writes = 0;
  log.flush(1);
  CHECK(log.failure().empty());
  log.close(1);
  CHECK(texts(log, 1) == Texts{"fine", "lost?"});
  const std::string file = stored(1);
  CHECK(std::count(file.begin(), file.end(), '\n') == 2);
}

TEST_CASE_FIXTURE(Fixture, "a failed sync is never retried and its events stay readable") {
  EventLog log(fs, layout);
  log.open(1);
  fs.failing_syncs = 1;
  say(log, "doubtful");
  CHECK_THROWS_AS(log.flush(1), Error);
  fs.failing_syncs = 0;
  say(log, "after", true);
  CHECK_THROWS_AS(log.flush(1), Error);
  log.close(1);
  CHECK(texts(log, 1) == Texts{"doubtful", "after"});
  CHECK(log.failure().empty());
}

TEST_CASE_FIXTURE(Fixture,
                  "a log that cannot be written is bounded in memory but keeps its final event") {
  EventLog log(fs, layout);
  log.open(1);
  fs.failing_writes = 1;
  say(log, "start");
  CHECK_THROWS_AS(log.flush(1), Error);
  for (std::size_t i = 0; i < 3 * EventLog::kRecentEvents; ++i) say(log, "flood");
  const std::uint64_t last = say(log, "the end", true);
  CHECK_THROWS_AS(log.flush(1), Error);
  CHECK(last < 3 * EventLog::kRecentEvents);
  CHECK(texts(log, 1, last) == Texts{"the end"});
}

TEST_CASE_FIXTURE(Fixture,
                  "the daemon's log is rotated, goes on counting and is read from both files") {
  EventLog log(fs, layout);
  log.open(0);
  const std::string long_line(64 * 1024, 'x');
  for (int i = 0; i < 12; ++i) {
    say(log, long_line, false, 0);
    log.flush(0);
  }
  CHECK(std::filesystem::exists(layout.job(0) + "/events.1.ndjson"));
  log.close(0);
  std::uint64_t next = 1;
  for (;;) {
    const auto batch = log.read(0, next, 5);
    if (batch.empty()) break;
    for (const auto& each : batch) CHECK(each->event.number == next++);
  }
  CHECK(next == 13);
  EventLog again(fs, layout);
  again.open(0);
  CHECK(say(again, "on", false, 0) == 13);
}

TEST_CASE_FIXTURE(Fixture, "details reach only the full text, and foreign bytes break nothing") {
  EventLog log(fs, layout);
  log.open(1);
  log.emit(1, Tier::kInfo, Phase::kMidCheck, "check.output",
           {{"check", "x"}, {"output", "secret \xC4\xE3"}}, 1000);
  log.flush(1);
  const auto event = log.read(1, 1, 1).front();
  CHECK(event->json.find("secret") != std::string::npos);
  CHECK(event->json_reduced.find("secret") == std::string::npos);
  CHECK(nlohmann::json::parse(event->json_reduced).at("number") == 1);
  log.close(1);
  CHECK(log.read(1, 1, 1).front()->json == event->json);
}

TEST_CASE_FIXTURE(Fixture, "many threads emit, read and flush at once without a gap or a double") {
  EventLog log(fs, layout);
  log.open(1);
  std::set<std::uint64_t> numbers;
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        const std::uint64_t number = say(log, "x");
        if (i % 50 == 0) log.flush(1);
        log.read(1, number, 10);
        const std::lock_guard lock(mutex);
        numbers.insert(number);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  log.flush(1);
  CHECK(numbers.size() == 800);
  CHECK(*numbers.rbegin() == 800);
  CHECK(log.read(1, 1, 1000).size() == 800);
}

}  // namespace mcpu::event_log_test
