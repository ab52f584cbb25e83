#include "daemon/source.hpp"

#include <sys/socket.h>

#include <functional>
#include <thread>

#include "daemon/source_wire.hpp"
#include "tests/source_fixture.hpp"

namespace mcpu::source_test {

using namespace std::chrono_literals;

namespace {

/// A worker that is a function on a thread of this process: for what a real one would never say.
class FunctionWorker : public Worker {
 public:
  explicit FunctionWorker(const std::function<void(WorkerLink&)>& work) {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    link_ = std::make_unique<WorkerLink>(UniqueFd(ends[0]));
    thread_ = std::thread([work, end = ends[1]] {
      WorkerLink link{UniqueFd(end)};
      try {
        work(link);
      } catch (const Error&) {
        // The daemon closed the link: it believes nothing more.
      }
    });
  }
  ~FunctionWorker() override {
    link_.reset();
    thread_.join();
  }
  WorkerLink& link() override { return *link_; }

 private:
  std::unique_ptr<WorkerLink> link_;
  std::thread thread_;
};

class FunctionProcesses : public ProcessPort {
 public:
  explicit FunctionProcesses(std::function<void(WorkerLink&)> work) : work_(std::move(work)) {}
  std::unique_ptr<Worker> start(WorkerKind, const Identity&) override {
    return std::make_unique<FunctionWorker>(work_);
  }

 private:
  std::function<void(WorkerLink&)> work_;
};

nlohmann::json description(std::size_t entries) {
  return {{"location", "/x"},  {"kind", "directory"}, {"version", "1.0"},
          {"commit", ""},      {"modified", true},    {"notices", nlohmann::json::array()},
          {"entries", entries}};
}

Listing listing_of(const std::string& path, const std::string& content) {
  ListingEntry entry;
  entry.path = path;
  entry.executable = true;
  entry.size_bytes = content.size();
  entry.content = Sha256::of(content);
  return Listing({entry});
}

SourceLimit limit() { return SourceLimit("limits.some_seconds", 20s); }

class SessionFixture : public SourceFixture {
 public:
  std::unique_ptr<SourceSession> open_session(ProcessPort& processes) const {
    return SourceSession::open(processes, own_identity(), request, limit(), nullptr, {});
  }

  /// The error after which a lying worker is given up.
  Error error_from(const std::function<void(WorkerLink&)>& worker) const {
    FunctionProcesses processes(worker);
    try {
      open_session(processes)->read({0}, limit(), [](std::size_t, std::string_view, bool) {});
    } catch (const Error& error) {
      return error;
    }
    return Error(Code::kInternal, "nothing was refused");
  }
};

std::unique_ptr<ProcessPort> real_processes() {
  const char* const build = std::getenv("MCPU_BUILD");
  REQUIRE(build != nullptr);
  return make_posix_processes(std::string(build) + "/daemon/worker");
}

}  // namespace

TEST_CASE_FIXTURE(SessionFixture, "a real worker resolves a checkout and sends what is asked for") {
  make_checkout("checkout");
  write("checkout/lib/empty", "");
  write("checkout/lib/large", std::string(3'000'000, 'x') + "end");
  run("cd checkout && git add -A && git commit -qm large && git tag v1.1.0");
  request.location = scratch / "checkout";
  const auto processes = real_processes();
  const auto session = open_session(*processes);
  CHECK(session->resolved().version == "1.1.0");
  REQUIRE(session->resolved().listing.entries().size() == 4);
  std::vector<std::string> contents(4);
  std::vector<std::size_t> ended;
  for (int round = 0; round < 2; ++round) {
    session->read({0, 1, 2, 3}, limit(), [&](std::size_t index, std::string_view piece, bool last) {
      contents.at(index) += piece;
      if (last) ended.push_back(index);
    });
  }
  CHECK(ended == std::vector<std::size_t>{0, 1, 2, 3, 0, 1, 2, 3});
  CHECK(contents[1].empty());
  CHECK(contents[2].size() == 2 * 3'000'003);
  CHECK(contents[3] == "part = 1\npart = 1\n");
}

TEST_CASE_FIXTURE(SessionFixture, "what is wrong with a source arrives as the error it is") {
  const auto processes = real_processes();
  request.location = scratch / "nothing";
  try {
    open_session(*processes);
    FAIL("was opened");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kSource);
    CHECK(mentions(error, "does not exist"));
  }
}

TEST_CASE_FIXTURE(SessionFixture, "a source that changes between listing and reading is named") {
  make_application("plain");
  request.location = scratch / "plain";
  const auto processes = real_processes();
  const auto session = open_session(*processes);
  const auto read_all = [&] {
    session->read({0, 1}, limit(), [](std::size_t, std::string_view, bool) {});
  };
  SUBCASE("other content") { write("plain/lib/part.py", "part = 2\n"); }
  SUBCASE("more content") { write("plain/lib/part.py", "part = 1\n# more\n"); }
  SUBCASE("less content") { write("plain/lib/part.py", ""); }
  try {
    read_all();
    FAIL("was read");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kSource);
    CHECK(mentions(error, "lib/part.py changed while it was read"));
  }
}

TEST_CASE_FIXTURE(SessionFixture,
                  "a silent worker is given up with the source, the limit and what to do") {
  FunctionProcesses silent([](WorkerLink& link) {
    link.receive();
    link.receive();
  });
  const auto text = [&](const std::string& location) -> std::string {
    request.location = location;
    try {
      SourceSession::open(silent, own_identity(), request, {"limits.some_seconds", 1s}, nullptr,
                          {});
    } catch (const Error& error) {
      CHECK(error.code() == Code::kTimeout);
      return error.what();
    }
    return "was opened";
  };
  CHECK(text("https://me:s3cret@host/app.git") ==
        "the source https://me:***@host/app.git was not done after 1 s: see whether its server is "
        "well and the network is up, then try again; if it only needs longer, raise "
        "limits.some_seconds in the configuration");
  CHECK(text("/srv/app")
            .starts_with("the source /srv/app was not done after 1 s: see whether its file system "
                         "is mounted"));
}

TEST_CASE_FIXTURE(SessionFixture,
                  "a worker that falls silent while contents are read is told so too") {
  request.location = "/srv/app";
  FunctionProcesses processes([](WorkerLink& link) {
    link.receive();
    link.send({{"resolved", description(1)}});
    link.send_bytes("");
    link.send_bytes(listing_of("bin/app", "x").to_text());
    link.receive();
    link.receive();
  });
  const auto session = open_session(processes);
  try {
    session->read({0}, {"limits.stage_seconds", 1s}, [](std::size_t, std::string_view, bool) {});
    FAIL("was read");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kTimeout);
    CHECK(mentions(error, "the source /srv/app was not done after 1 s"));
    CHECK(mentions(error, "raise limits.stage_seconds in the configuration"));
  }
}

TEST_CASE_FIXTURE(SessionFixture, "a lying worker is not believed") {
  const std::string content = "#!/bin/sh\n";
  const Listing good = listing_of("bin/app", content);
  const auto lie = [&](nlohmann::json resolved, const std::string& listing,
                       const std::string& sent = "") {
    return error_from([=](WorkerLink& link) {
      link.receive();
      link.send({{"resolved", resolved}});
      link.send_bytes("");
      link.send_bytes(listing);
      link.receive();
      link.send_bytes(sent);
      link.receive();
    });
  };
  SUBCASE("other content than promised") {
    CHECK(lie(description(1), good.to_text(), "#!/bin/su\n").code() == Code::kSource);
  }
  SUBCASE("more content than asked for") {
    CHECK(lie(description(1), good.to_text(), content + "x").code() == Code::kWorker);
  }
  SUBCASE("a path that leads out of the tree") {
    request.entry_paths.clear();
    CHECK(lie(description(1), listing_of("../../etc/passwd", "x").to_text()).code() ==
          Code::kSource);
  }
  SUBCASE("no entry point") {
    CHECK(lie(description(1), listing_of("bin/other", "x").to_text()).code() == Code::kWorker);
  }
  SUBCASE("more entries than allowed") {
    CHECK(lie(description(200'001), good.to_text()).code() == Code::kWorker);
  }
  SUBCASE("a number of entries that is none") {
    auto resolved = description(1);
    resolved["entries"] = -1;
    CHECK(lie(resolved, good.to_text()).code() == Code::kWorker);
  }
  SUBCASE("fields of other types") {
    for (const char* field : {"location", "kind", "version", "commit", "modified", "notices"}) {
      auto resolved = description(1);
      resolved[field] = {{"x", 1}};
      CHECK(lie(resolved, good.to_text()).code() == Code::kWorker);
    }
  }
  SUBCASE("a version that is a path") {
    auto resolved = description(1);
    resolved["version"] = "../../x";
    CHECK(lie(resolved, good.to_text()).code() == Code::kWorker);
  }
  SUBCASE("a listing that is none") {
    CHECK(lie(description(1), "rubbish").code() == Code::kWorker);
  }
}

TEST_CASE("a request survives its way to the worker") {
  SourceRequest request;
  request.location = "/srv/\xff app";
  request.to = "v1";
  request.worktree = request.closed = true;
  request.exclude = {"a\\b", "*.c"};
  request.entry_paths = {"bin/名"};
  request.limits.max_entries = 7;
  request.max_clone_bytes = 9;
  const SourceRequest copy = source_request_from_json(to_json(request));
  CHECK(copy.location == request.location);
  CHECK(copy.to == request.to);
  CHECK(copy.worktree);
  CHECK(copy.closed);
  CHECK(copy.exclude == request.exclude);
  CHECK(copy.entry_paths == request.entry_paths);
  CHECK(copy.limits.max_entries == 7);
  CHECK(copy.max_clone_bytes == 9);
}

TEST_CASE("a long listing is cut into parts that fit a frame") {
  std::vector<ListingEntry> entries;
  for (int i = 0; i < 3000; ++i) {
    ListingEntry entry;
    entry.path = std::string(300, 'd') + std::to_string(i);
    entries.push_back(entry);
  }
  std::size_t total = 0;
  for (const auto& part : listing_parts(Listing(entries))) {
    CHECK(part.size() <= WorkerLink::kMaxFrameBytes);
    total += Listing::from_text(part).entries().size();
  }
  CHECK(total == 3000);
}

}  // namespace mcpu::source_test
