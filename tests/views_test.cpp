#include "client/views.hpp"

#include <doctest/doctest.h>

namespace mcpu::views_test {

using nlohmann::json;

namespace {

bool says(const std::string& text, const std::string& part) {
  CAPTURE(text);
  return text.find(part) != std::string::npos;
}

std::string status(const json& reply) {
  return status_view(reply, Paint(false), "mcpctl --user",
                     parse_time("2026-01-31T12:00:00.000000Z"));
}

const json kJob = {{"job", 9},
                   {"kind", "upgrade"},
                   {"app", "mcp"},
                   {"mode", "full"},
                   {"owner", "ann"},
                   {"state", "finished"},
                   {"outcome", "failed"},
                   {"message", "check mcp status failed"},
                   {"requested", "2026-01-31T09:00:00.000000Z"},
                   {"finished", "2026-01-31T09:00:00.000000Z"}};

}  // namespace

TEST_CASE("status says what is current, the way back, what is newer and what is wrong") {
  const std::string text =
      status({{"instance", {{"version", "0.1.0"}, {"mode", "user"}, {"state_directory", "/s"}}},
              {"applications",
               {{{"app", "mcp"},
                 {"current",
                  {{"release", "1.3.10-abc"},
                   {"version", "1.3.10"},
                   {"origin", "/src"},
                   {"commit", nullptr}}},
                 {"since", "2026-01-31T09:00:00.000000Z"},
                 {"by", "ann"},
                 {"job", 8},
                 {"back", {{"release", "1.3.5-def"}, {"version", "1.3.5"}}},
                 {"newer", "1.3.11"},
                 {"looked_up", "2026-01-31T11:59:59.000000Z"},
                 {"paused", true},
                 {"entry_points", {{{"name", "mcp"}, {"path", "/bin/mcp"}, {"state", "shadowed"}}}},
                 {"last_job", kJob},
                 {"verified",
                  {{"files", 3},
                   {"damaged",
                    {"bin/m\x1b"
                     "cp"}}}},
                 {"problems", {{{"what", "disk is full"}, {"remedy", "make room"}}}}}}}});
  CHECK(says(text, "current       1.3.10  [1.3.10-abc]"));
  CHECK(says(text, "(3 hours ago), by ann, job 8"));
  CHECK(says(text, "roll back to  1.3.5  [1.3.5-def]: mcpctl --user rollback"));
  CHECK(says(text, "newer         1.3.11: mcpctl --user upgrade, looked up"));
  CHECK(says(text, "paused"));
  CHECK(says(text, "/bin/mcp  shadowed"));
  CHECK(says(text, "1 damaged, 3 files compared"));
  CHECK(says(text, "bin/m\\x1bcp"));
  CHECK(says(text, "job 9, upgrade (full) for ann: failed"));
  CHECK(says(text, "check mcp status failed"));
  CHECK(says(text, "PROBLEM       disk is full"));
  CHECK(says(text, "what to do: make room"));
  CHECK(says(text, "running       no job"));
  CHECK(says(text, "mcp-upgraded 0.1.0, your own"));
}

TEST_CASE("a newer release that is denied or held is not offered") {
  json app = {{"app", "mcp"}, {"newer", "1.1"}, {"withheld", "held: by ann"}};
  CHECK(says(status({{"applications", {app}}}), "newer         1.1, held: by ann, never"));
  CHECK_FALSE(says(status({{"applications", {app}}}), "1.1: mcpctl --user upgrade"));
}

TEST_CASE("status of a machine where nothing is installed says how to install") {
  const std::string text = status({{"applications", {{{"app", "mcp"}, {"current", nullptr}}}}});
  CHECK(says(text, "nothing installed yet: mcpctl --user upgrade"));
  CHECK(says(text, "nothing known, never looked up"));
}

TEST_CASE("a reply of another version, or of nonsense, is shown as far as it goes") {
  CHECK(says(status(json::object()), "running"));
  CHECK(
      says(status({{"applications", 3}, {"instance", "x"}, {"running", {{"job", "y"}}}}), "job 0"));
  CHECK(says(jobs_view({{"jobs", {1, nullptr}}}, Paint(false)), "JOB"));
  CHECK(says(releases_view(json::array(), Paint(false)), "no release"));
  CHECK(says(plan_view(json::object(), Paint(false)), "Nothing has been changed"));
}

TEST_CASE("jobs and releases are tables") {
  const std::string jobs = jobs_view({{"jobs", {kJob}}}, Paint(false));
  CHECK(says(jobs, "JOB  KIND     APP  MODE  BY   STARTED"));
  CHECK(says(jobs, "failed"));
  const std::string releases = releases_view({{"releases",
                                               {{{"release", "1.2-a"},
                                                 {"version", "1.2"},
                                                 {"bytes", 2'000'000},
                                                 {"health", "denied"},
                                                 {"denied_by", "mcp status"},
                                                 {"held", true},
                                                 {"current", true},
                                                 {"kept_by", {"current", "pinned"}}}}}},
                                             Paint(false));
  CHECK(says(releases, "*  1.2-a"));
  CHECK(says(releases, "2.0 MB"));
  CHECK(says(releases, "denied by mcp status, held"));
  CHECK(says(releases, "current, pinned"));
}

TEST_CASE("a plan lists changes, saved files, checks and space") {
  const std::string text = plan_view(
      {{"kind", "upgrade"},
       {"to", {{"release", "1.2-a"}, {"version", "1.2"}}},
       {"changed_files", 3},
       {"changes", {{{"path", "bin/mcp"}, {"change", "added"}}}},
       {"saves", {{{"user", "ann"}, {"path", "/home/ann/.claude.json"}}}},
       {"checks",
        {{{"check", "mcp --help"}, {"phase", "mid-check"}, {"user", "ann"}, {"required", true}}}},
       {"space", {{"path", "/s"}, {"needed_bytes", 5000}, {"free_bytes", 1'000'000}}}},
      Paint(false));
  CHECK(says(text, "To    1.2  [1.2-a]"));
  CHECK(says(text, "+ bin/mcp"));
  CHECK(says(text, "and 2 more"));
  CHECK(says(text, "/home/ann/.claude.json  (ann)"));
  CHECK(says(text, "mid-check  mcp --help  ann   undone"));
  CHECK(says(text, "5.0 kB needed, 1.0 MB free below /s"));
}

TEST_CASE("a plan that comes to nothing has no lines about nothing") {
  const std::string text = plan_view(
      {{"kind", "upgrade"}, {"nothing_to_do", true}, {"message", "already up to date: 1.2-a"}},
      Paint(false));
  CHECK(says(text, "already up to date: 1.2-a"));
  CHECK_FALSE(says(text, "From"));
  CHECK_FALSE(says(text, "To  "));
}

TEST_CASE(
    "what keeps a plan from being carried out is said once, with its remedy if there is one") {
  const std::string what = "not enough space for /s: free some";
  const std::string text = plan_view(
      {{"kind", "upgrade"}, {"message", what}, {"problems", {{{"what", what}, {"remedy", ""}}}}},
      Paint(false));
  CHECK(says(text, "PROBLEM " + what));
  CHECK(text.find(what) == text.rfind(what));
  CHECK_FALSE(says(text, "what to do"));
}

}  // namespace mcpu::views_test
