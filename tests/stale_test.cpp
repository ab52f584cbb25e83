#include "daemon/stale.hpp"

#include <doctest/doctest.h>

#include "daemon/durable.hpp"
#include "tests/job_story.hpp"

namespace mcpu::stale_test {

namespace {

const std::string kCommands = "/home/anna/.local/bin";
const std::string kPackages = "/home/anna/.local/lib/python3.11/site-packages";

/// What pip leaves of an installation: a wrapper on PATH, a package, and a record of both.
struct Installed {
  Installed() { make_directories(fs, kCommands, 0755); }

  void write(const std::string& path, const std::string& content) {
    make_directories(fs, parent_path(path), 0755);
    write_durably(fs, path, content, 0644);
  }
  void install(const std::string& name, const std::string& package, const std::string& code) {
    write(kCommands + "/mcp", "from " + package + ".cli import main\nmain()\n");
    write(kPackages + "/" + package + "/cli.py", code);
    write(kPackages + "/" + name + ".dist-info/RECORD", "../../../bin/mcp,sha256=a,1\n" + package +
                                                            "/cli.py,sha256=b,1\n" + name +
                                                            ".dist-info/RECORD,,\n");
  }
  StaleFound find() { return find_stale(fs, query); }

  MemoryFileSystem fs;
  StaleQuery query{{kCommands},
                   {{"mcp", "/usr/local/bin/mcp", "/src/mlm/bin/mcp"}},
                   {".mcp-central", "mcp_cli.commands"}};
};

}  // namespace

TEST_CASE_FIXTURE(Installed, "a copy of the application that pip installed is found by its code") {
  install("mcp_local_manager-1.3.5", "mcp_cli", "from mcp_cli.commands import status");
  const StaleFound found = find();
  REQUIRE(found.copies.size() == 1);
  CHECK(found.copies[0].script == kCommands + "/mcp");
  CHECK(found.copies[0].distribution == "mcp_local_manager");
  CHECK(found.copies[0].version == "1.3.5");
  CHECK(uninstall_line(fs, found.copies[0], false) ==
        "python3.11 -m pip uninstall mcp_local_manager");
}

TEST_CASE_FIXTURE(Installed, "the Python SDK, whose command is called mcp too, is left alone") {
  install("mcp-1.9.0", "mcp", "import typer\nfrom mcp.server import Server");
  CHECK(find().copies.empty());
}

TEST_CASE_FIXTURE(Installed, "a package with the application's code but another command is none") {
  install("lookalike-1.0", "mcp_cli", "from mcp_cli.commands import status");
  write(kPackages + "/lookalike-1.0.dist-info/RECORD",
        "../../../bin/other,sha256=a,1\nmcp_cli/cli.py,sha256=b,1\n");
  CHECK(find().copies.empty());
}

TEST_CASE_FIXTURE(Installed, "an application that cannot be recognized has no copies") {
  install("mcp_local_manager-1.3.5", "mcp_cli", "from mcp_cli.commands import status");
  query.recognize.clear();
  CHECK(find().copies.empty());
}

TEST_CASE_FIXTURE(Installed, "a record leads nobody to files elsewhere") {
  install("trap-1.0", "trap", "nothing");
  write("/home/anna/secret.py", ".mcp-central");
  write(kPackages + "/trap-1.0.dist-info/RECORD",
        "../../../bin/mcp,,\n../../../../secret.py,,\n/home/anna/secret.py,,\n");
  CHECK(find().copies.empty());
}

TEST_CASE_FIXTURE(Installed, "a name that a shell would take for more is never put in a line") {
  install("x;reboot-1.0", "mcp_cli", "from mcp_cli.commands import status");
  install("--yes-1.0", "mcp_cli", "from mcp_cli.commands import status");
  CHECK(find().copies.empty());
}

TEST_CASE_FIXTURE(Installed, "where the system's Python is managed the line says what that takes") {
  write("/usr/lib/python3.11/EXTERNALLY-MANAGED", "");
  const PipCopy copy{"/usr/local/bin/mcp", "mlm", "1.3", "python3.11"};
  CHECK(uninstall_line(fs, copy, true) ==
        "sudo python3.11 -m pip uninstall --break-system-packages mlm");
}

TEST_CASE_FIXTURE(Installed, "only a link to the very command of the checkout is stale") {
  const std::string link = kCommands + "/mcp";
  for (const char* target : {"/src/mlm/bin/other", "/src/mlm2/bin/mcp", "../mlm/bin/mcp"}) {
    link_durably(fs, target, link);
    CHECK(find().links.empty());
  }
  link_durably(fs, "/src/mlm/bin/mcp", link);
  REQUIRE(find().links.size() == 1);
  query.commands[0].kept = link;
  CHECK(find().links.empty());
}

TEST_CASE_FIXTURE(Installed, "a link that changed since it was found is not removed") {
  const StaleLink link{kCommands + "/mcp", "/src/mlm/bin/mcp"};
  link_durably(fs, "/somewhere/else", link.path);
  CHECK(remove_stale_link(fs, link));
  CHECK(fs.read_link(link.path) == "/somewhere/else");
}

TEST_CASE_FIXTURE(Installed, "putting a link back replaces nothing, and can be repeated") {
  const StaleLink link{kCommands + "/mcp", "/src/mlm/bin/mcp"};
  put_back_stale_link(fs, link);
  put_back_stale_link(fs, link);
  CHECK(fs.read_link(link.path) == link.target);
  fs.remove_file(link.path);
  write(link.path, "somebody's own");
  put_back_stale_link(fs, link);
  CHECK(fs.info(link.path)->type == FileType::kFile);
}

TEST_CASE_FIXTURE(Installed, "what a worker says it found is believed only if it was asked for") {
  StaleFound found;
  found.links = {{kCommands + "/mcp", "/src/mlm/bin/mcp"}};
  CHECK(stale_found_from_json(to_json(found), query).links.size() == 1);
  StaleFound elsewhere = found, other_target = found, command = found;
  elsewhere.links[0].path = "/etc/passwd";
  other_target.links[0].target = "/etc/passwd";
  command.copies = {{kCommands + "/mcp", "$(reboot)", "1", "python3.11"}};
  for (const StaleFound& lie : {elsewhere, other_target, command}) {
    CHECK(error_of([&] { stale_found_from_json(to_json(lie), query); }).code() == Code::kWorker);
  }
  CHECK(error_of([&] { stale_found_from_json({{"links", 7}}, query); }).code() == Code::kWorker);
}

}  // namespace mcpu::stale_test
