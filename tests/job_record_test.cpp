#include "daemon/job_record.hpp"

#include <doctest/doctest.h>

#include "daemon/durable.hpp"
#include "memory_file_system.hpp"

namespace mcpu::job_record_test {

namespace {

const Layout kLayout{"/var/lib/mcpu", ""};

JobRecord record(JobId id, JobKind kind = JobKind::kRollback) {
  JobRecord one;
  one.id = id;
  one.request.kind = kind;
  one.request.app = "app";
  one.request.request_id = "abc";
  one.uid = 1000;
  one.by = "anna";
  one.queued_at = now();
  return one;
}

}  // namespace

TEST_CASE("a record is read back as it was written, with its result and without") {
  MemoryFileSystem fs;
  JobRecords records(fs, kLayout);
  CHECK(records.highest() == 0);
  JobRecord one = record(3);
  records.create(one);
  CHECK(to_json(*records.read(3)) == to_json(one));
  CHECK_FALSE(records.read(3)->result);
  one.login_uid = 7;
  one.started_at = one.finished_at = now();
  one.result = JobResult{Outcome::kDone, "rolled back", {{"to", "a"}}};
  records.write(one);
  CHECK(to_json(*records.read(3)) == to_json(one));
  for (const JobKind kind : {JobKind::kUpgrade, JobKind::kCheck}) {
    records.create(record(4 + static_cast<JobId>(kind), kind));
    CHECK(records.read(4 + static_cast<JobId>(kind))->request.kind == kind);
  }
}

TEST_CASE("numbers are numbers, in order, and the highest counts even without a record") {
  MemoryFileSystem fs;
  JobRecords records(fs, kLayout);
  for (const JobId id : {10U, 9U, 2U}) records.create(record(id));
  for (const char* name : {"0", "x", "11x", "12"}) {
    make_directories(fs, kLayout.jobs() + "/" + name, 0700);
  }
  CHECK(records.list() == std::vector<JobId>{2, 9, 10, 12});
  CHECK(records.highest() == 12);
  CHECK_FALSE(records.read(12));
}

TEST_CASE("the password of a source is not stored") {
  MemoryFileSystem fs;
  JobRecords records(fs, kLayout);
  JobRecord one = record(1, JobKind::kUpgrade);
  one.request.from = "https://joe:s3cret@example.org/x.git";
  records.create(one);
  CHECK(records.read(1)->request.from == "https://joe:***@example.org/x.git");
  records.write(one);
  CHECK(read_file(fs, kLayout.job_file(1), 1 << 20).find("s3cret") == std::string::npos);
}

TEST_CASE("a damaged record is none") {
  MemoryFileSystem fs;
  JobRecords records(fs, kLayout);
  records.create(record(1));
  for (const char* content : {"", "{", "{}", "{\"job\": 1}"}) {
    write_durably(fs, kLayout.job_file(1), content, 0600);
    CHECK_FALSE(records.read(1));
  }
}

TEST_CASE("what was removed is gone") {
  MemoryFileSystem fs;
  JobRecords records(fs, kLayout);
  records.create(record(1));
  records.remove(1);
  records.remove(1);
  CHECK(records.list().empty());
}

}  // namespace mcpu::job_record_test
