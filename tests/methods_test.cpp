#include "daemon/methods.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <regex>

#include "proto/error.hpp"
#include "proto/interface_description.hpp"
#include "scripted_service.hpp"

namespace mcpu::methods_test {

namespace {

struct Fixture {
  Fixture() { service.release_plan(); }

  Reply ask(const std::string& method) {
    Call call;
    call.method = method;
    return make_task(service, call, Peer{}).run().reply;
  }

  Layout layout{"/nowhere", ""};  // No method here touches a file.
  std::unique_ptr<FileSystem> fs = make_posix_file_system();
  EventLog log{*fs, layout};
  ScriptedService service{log};
};

/// What follows a keyword at the start of a line of the interface description.
std::vector<std::string> described(const std::string& keyword) {
  const std::string text(interface_description());
  const std::regex pattern("\n" + keyword + " ([A-Za-z]+)");
  std::vector<std::string> names;
  for (std::sregex_iterator each(text.begin(), text.end(), pattern), end; each != end; ++each) {
    names.push_back((*each)[1]);
  }
  return names;
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "every method of the description is served") {
  const auto methods = described("method");
  CHECK(methods.size() == 15);
  for (const std::string& name : methods) {
    CHECK_MESSAGE(!ask("dev.mcplocal.Upgrade." + name).error.ends_with("MethodNotFound"), name);
  }
}

TEST_CASE_FIXTURE(Fixture, "names that only resemble a method are not served") {
  for (const char* name :
       {"dev.mcplocal.Upgrade.", "dev.mcplocal.Upgrade.status",
        "dev.mcplocal.Upgrade.Status.Status", "dev.mcplocal.Status", ".Status", "Status", "."}) {
    CHECK_MESSAGE(ask(name).error.starts_with("org.varlink.service."), name);
  }
}

TEST_CASE("every error that can reach a peer is in the description") {
  const auto errors = described("error");
  for (int i = 0; i <= static_cast<int>(Code::kInternal); ++i) {
    const auto code = static_cast<Code>(i);
    if (code == Code::kNoDaemon || code == Code::kUsage) continue;
    CHECK_MESSAGE(std::count(errors.begin(), errors.end(), code_name(code)) == 1, code_name(code));
  }
}

TEST_CASE_FIXTURE(Fixture, "calls that may take long do not stand in the way of short ones") {
  const auto where = [&](const std::string& method, nlohmann::json parameters) {
    Call call;
    call.method = "dev.mcplocal.Upgrade." + method;
    call.parameters = std::move(parameters);
    return make_task(service, call, Peer{}).where;
  };
  CHECK(where("Plan", {{"kind", "upgrade"}}) == Where::kLong);
  CHECK(where("Status", {{"verify", true}}) == Where::kLong);
  CHECK(where("Status", nlohmann::json::object()) == Where::kShort);
  CHECK(where("Upgrade", nlohmann::json::object()) == Where::kShort);
}

}  // namespace mcpu::methods_test
