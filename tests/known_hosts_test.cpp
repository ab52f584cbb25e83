#include "daemon/worker/known_hosts.hpp"

#include <doctest/doctest.h>

#include "tests/source_fixture.hpp"

namespace mcpu::known_hosts_test {

namespace {

/// A key of the type, as it goes over the wire: its type, then something.
std::string key(const std::string& type, const std::string& rest) {
  return std::string(3, '\0') + static_cast<char>(type.size()) + type + rest;
}

}  // namespace

TEST_CASE("a host is known by name, pattern, or port, and only with its own key") {
  const std::string ours = key("ssh-ed25519", "ours"), other = key("ssh-ed25519", "other");
  const std::string file = "# comment\n\n" + known_hosts_line("git.example.org", 22, ours) + "\n" +
                           known_hosts_line("127.0.0.1", 2222, ours) + " comment\n" +
                           "*.example.com,!bad.example.com" + known_hosts_line("", 22, ours) + "\n";
  CHECK(judge_host_key(file, "git.example.org", 22, ours) == HostKey::kKnown);
  CHECK(judge_host_key(file, "git.example.org", 22, other) == HostKey::kDifferent);
  CHECK(judge_host_key(file, "git.example.org", 2222, ours) == HostKey::kUnknown);
  CHECK(judge_host_key(file, "127.0.0.1", 2222, ours) == HostKey::kKnown);
  CHECK(judge_host_key(file, "a.example.com", 22, ours) == HostKey::kKnown);
  CHECK(judge_host_key(file, "bad.example.com", 22, ours) == HostKey::kUnknown);
  CHECK(judge_host_key(file, "git.example.org", 22, key("ssh-rsa", "x")) == HostKey::kUnknown);
  CHECK(judge_host_key("", "git.example.org", 22, ours) == HostKey::kUnknown);
}

TEST_CASE("a revoked key is refused even if another line knows it") {
  const std::string ours = key("ssh-ed25519", "ours");
  const std::string line = known_hosts_line("h", 22, ours);
  CHECK(judge_host_key(line + "\n@revoked " + line, "h", 22, ours) == HostKey::kRevoked);
  CHECK(judge_host_key("@cert-authority " + line, "h", 22, ours) == HostKey::kUnknown);
}

TEST_CASE_FIXTURE(SourceFixture, "hashed names and fingerprints are those of ssh-keygen") {
  run("ssh-keygen -q -t ed25519 -N '' -f host && (printf '[127.0.0.1]:2200 '; cat host.pub) >known"
      " && ssh-keygen -q -H -f known");
  REQUIRE(read("known").starts_with("|1|"));
  run("cut -d' ' -f2 host.pub | base64 -d >blob");
  const std::string blob = read("blob");  // its last byte may be that of a newline
  CHECK(judge_host_key(read("known"), "127.0.0.1", 2200, blob) == HostKey::kKnown);
  CHECK(judge_host_key(read("known"), "127.0.0.1", 22, blob) == HostKey::kUnknown);
  const std::string expected = output("ssh-keygen -l -f host.pub | cut -d' ' -f2");
  CHECK(key_fingerprint(blob) == "ssh-ed25519, " + expected);
}

TEST_CASE("bytes that are no key at all do no harm") {
  CHECK(key_fingerprint("").starts_with("unknown, "));
  CHECK(judge_host_key("|1||\n|1|x\nh\n", "h", 22, "\xff\xff\xff\xff") == HostKey::kUnknown);
}

}  // namespace mcpu::known_hosts_test
