#include "daemon/policy.hpp"

#include <doctest/doctest.h>

#include "daemon/version.hpp"
#include "proto/error.hpp"

namespace mcpu::policy_test {

namespace {

constexpr std::uint32_t kAnn = 1000, kBob = 1001, kDaemon = 990, kOps = 500;

const Access kSystem{false, kDaemon, "ops", kOps};
const Access kUser{true, kAnn, "ops", kOps};

Peer peer(std::uint32_t uid, std::vector<std::uint32_t> groups = {}) {
  Peer peer;
  peer.uid = uid;
  peer.gid = uid;
  peer.groups = std::move(groups);
  return peer;
}

/// The action named in the refusal; "allowed" if there is none.
std::string verdict(const Access& access, const Peer& who, const JobRequest& request) {
  try {
    authorize_job(access, who, request);
  } catch (const Error& error) {
    CHECK(error.code() == Code::kNotAuthorized);
    return error.context().at("action").get<std::string>();
  }
  return "allowed";
}

JobRequest upgrade_to(const std::string& to) {
  JobRequest request;
  request.to = to;
  return request;
}

}  // namespace

TEST_CASE("in user mode only oneself and root may change anything") {
  CHECK(verdict(kUser, peer(kAnn), {}) == "allowed");
  CHECK(verdict(kUser, peer(0), {}) == "allowed");
  CHECK(verdict(kUser, peer(kBob), {}) == "upgrade");
  CHECK(verdict(kUser, peer(kBob, {kOps}), {}) == "upgrade");
}

TEST_CASE("in system mode root, the daemon's user and the group may upgrade") {
  CHECK(verdict(kSystem, peer(0), {}) == "allowed");
  CHECK(verdict(kSystem, peer(kDaemon), {}) == "allowed");
  CHECK(verdict(kSystem, peer(kAnn, {4, kOps}), {}) == "allowed");
  Peer primary = peer(kAnn);
  primary.gid = kOps;
  CHECK(verdict(kSystem, primary, {}) == "allowed");
  CHECK(verdict(kSystem, peer(kAnn, {4}), {}) == "upgrade");
}

TEST_CASE("a group that does not exist lets nobody in") {
  const Access access = make_access(false, kDaemon, "no-such-group-here");
  CHECK_FALSE(access.group_id.has_value());
  CHECK_FALSE(may_change(access, peer(kAnn, {0})));
  CHECK(make_access(false, kDaemon, "root").group_id == 0);
}

TEST_CASE("code of the caller's choice is for root alone in system mode") {
  const Peer member = peer(kAnn, {kOps});
  JobRequest from, worktree, force;
  from.from = "/home/ann/evil";
  worktree.worktree = true;
  force.force = true;
  for (const JobRequest& request : {from, worktree, force, upgrade_to("main")}) {
    CHECK(verdict(kSystem, member, request) != "allowed");
    CHECK(verdict(kSystem, peer(0), request) == "allowed");
    CHECK(verdict(kUser, peer(kAnn), request) == "allowed");
  }
  CHECK(verdict(kSystem, member, from) == "upgrade --from");
}

TEST_CASE("the group may name a version but no branch, commit or description of one") {
  const Peer member = peer(kAnn, {kOps});
  for (const char* to : {"1.3.11", "v1.3.11", "2.0.0-rc.1", "1.0"})
    CHECK_MESSAGE(verdict(kSystem, member, upgrade_to(to)) == "allowed", to);
  for (const char* to : {"main", "1234567", "v1", "v1.3.11-4-gabcdef0", "1.3.x", "v1.3.11^", "1..2",
                         "1.3.11~2", "1.3.11-rc..2", "", "v", ".1", "1."})
    CHECK_MESSAGE(verdict(kSystem, member, upgrade_to(to)) != "allowed", to);
}

TEST_CASE("the group may roll back to any release kept here, but not over others' edits") {
  const Peer member = peer(kAnn, {kOps});
  JobRequest request;
  request.kind = JobKind::kRollback;
  request.to = "1.3.10-0a1b2c3d";
  CHECK(verdict(kSystem, member, request) == "allowed");
  request.to = "before";
  CHECK(verdict(kSystem, member, request) == "allowed");
  request.configs = ConfigPolicy::kAlways;
  CHECK(verdict(kSystem, member, request) == "rollback --configs=always");
}

TEST_CASE("a refusal says who may, and how") {
  CHECK_THROWS_WITH_AS(
      authorize_change(kSystem, peer(kAnn), "cancel"),
      "you may not cancel here: ask root, or a member of the group ops; or join that "
      "group and log in again",
      Error);
}

TEST_CASE("details of an event are for the user concerned and root") {
  CHECK(may_see(kSystem, kAnn, peer(kAnn)));
  CHECK(may_see(kSystem, kAnn, peer(0)));
  CHECK_FALSE(may_see(kSystem, kAnn, peer(kBob, {kOps})));
  CHECK_FALSE(may_see(kSystem, kAnn, peer(kDaemon)));
  CHECK(may_see(kUser, kBob, peer(kAnn)));
}

}  // namespace mcpu::policy_test
