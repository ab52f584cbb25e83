#!/usr/bin/env python3
"""Whose rights the workers of a root daemon have, as the kernel says, and what these keep them from."""

import grp
import os
import pathlib
import pwd
import shutil
import subprocess

from daemon_fixture import Repository, children_of, wait_for
from git_http_fixture import GitServer
from rights_fixture import (ANN, BOB, CHECK_ACCOUNT, DORA, EVE, GROUP, SOURCE_ACCOUNT, CheckTestCase,
                            acting_as, is_running, name_of, own, run_tests, uid_of)

#: Of no account.
NOBODYS_UID = 64999


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.split() for name, value in (line.split(":", 1) for line in lines)}


class WorkerCase(CheckTestCase):
    def assert_rights(self, pid, user):
        who, status = pwd.getpwnam(user), status_of(pid)
        self.assertEqual([str(who.pw_uid)] * 4, status["Uid"], name_of(pid))
        self.assertEqual([str(who.pw_gid)] * 4, status["Gid"], name_of(pid))
        if user != "root":  # root's worker has the daemon's
            self.assertEqual(sorted(os.getgrouplist(user, who.pw_gid)),
                             sorted(int(group) for group in status["Groups"]))
        for capabilities in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            self.assertEqual(["0" * 16], status[capabilities], capabilities)
        self.assertEqual(["1"], status["NoNewPrivs"])

    def assert_nothing_inherited(self, pid):
        """0 to 2 are /dev/null, 3 is the link; whatever else it opened itself."""
        targets = {int(fd): os.readlink(f"/proc/{pid}/fd/{fd}")
                   for fd in os.listdir(f"/proc/{pid}/fd")}
        self.assertEqual(["/dev/null"] * 3, [targets[fd] for fd in range(3)])
        self.assertTrue(targets[3].startswith("socket:"))
        ours = {os.readlink(f"/proc/{self.daemon.pid}/fd/{fd}")
                for fd in os.listdir(f"/proc/{self.daemon.pid}/fd")} - {"/dev/null"}
        self.assertEqual(set(), set(targets.values()) & ours)


class Rights(WorkerCase):
    def test_a_private_checkout_is_read_and_checked_as_its_owner_whoever_asks(self):
        self.sandbox.release("1.0")
        self.sandbox.adopt()
        self.daemon.start()
        for version, asking in (("1.1", ("root", {})), ("1.2", ("root", {"unattended": True})),
                                ("1.3", (ANN, {}))):
            self.gated_release(version)
            user, parameters = asking
            job, workers = self.start_gated(*parameters.items(), user=user)
            self.assertEqual(str(uid_of(DORA)), (self.marks / "uid").read_text().strip())
            for name in ("mcp-upgraded-source", "mcp-upgraded-worker"):
                self.assert_rights(workers[name], DORA)
                self.assert_nothing_inherited(workers[name])
            (self.marks / "gate").touch()
            self.assertEqual("done", self.wait_ended(job)["outcome"])
            self.assert_runs(version)
            for mark in self.marks.iterdir():
                mark.unlink()
        self.assertEqual([], list((self.sandbox.state / "scratch").glob("*/*")))

    def test_what_root_owns_is_read_without_a_capability_and_checked_by_nobody(self):
        repository = Repository(self.sandbox.root / "roots")
        self.sandbox.repository = repository
        self.sandbox.give_checkout = lambda: None
        self.gated_release("1.0")
        self.sandbox.write_configuration({"source": str(repository.path)})
        self.daemon.start()
        job, workers = self.start_gated()
        self.assert_rights(workers["mcp-upgraded-source"], "root")
        self.assert_rights(workers["mcp-upgraded-worker"], CHECK_ACCOUNT)
        (self.marks / "gate").touch()
        self.assertEqual("done", self.wait_ended(job)["outcome"])
        self.assertIn(f"the checks run as {CHECK_ACCOUNT}", self.texts(job))
        self.assert_runs("1.0")

    def test_a_configured_user_that_is_not_there_is_one_warning(self):
        self.sandbox.release("1.0")
        self.sandbox.adopt()
        self.sandbox.write_configuration(users=["mcpu-ghost"])
        self.daemon.start()
        self.mcpctl("upgrade")
        self.assertEqual(["users.left_out"], [event["id"] for event in self.events(1)
                                              if event["id"].startswith("users.")])

    def test_an_owner_whose_account_was_removed_keeps_nobody_from_rolling_back(self):
        self.sandbox.release("1.0")
        self.sandbox.adopt()
        self.daemon.start()
        self.mcpctl("upgrade")
        self.sandbox.release("1.1")
        self.mcpctl("upgrade")
        subprocess.run(["chown", "-R", str(NOBODYS_UID), self.sandbox.homes[DORA]], check=True)
        refused = self.mcpctl("upgrade", status=1)
        self.assertIn(f"belongs to uid {NOBODYS_UID}, which is no user here: chown it", refused)
        self.assertIn(f"uid {NOBODYS_UID}", self.mcpctl("rollback", user=ANN))
        self.assert_runs("1.0")

    def test_what_stood_there_before_comes_back_though_it_is_closed_to_those_looked_after(self):
        self.sandbox.release("1.0")
        self.sandbox.adopt()
        stood = os.readlink(self.sandbox.links / "demo")
        self.sandbox.write_configuration(users=[BOB], required_users=[BOB])
        self.daemon.start()
        self.mcpctl("upgrade")
        self.assertIn("before adoption is closed to that user",
                      self.mcpctl("rollback", "--to", "before"))
        self.assertEqual(stood, os.readlink(self.sandbox.links / "demo"))

    def test_an_upgrade_that_was_killed_is_undone_without_a_home_of_the_check_user(self):
        repository = Repository(self.sandbox.root / "roots")
        self.sandbox.repository = repository
        self.sandbox.give_checkout = lambda: None
        self.sandbox.release("1.0")
        self.sandbox.write_configuration({"source": str(repository.path)})
        self.daemon.start()
        self.mcpctl("upgrade")
        self.gated_release("1.1")
        self.start_gated()
        self.daemon.restart()
        self.assert_runs("1.0")
        (self.marks / "gate").touch()
        self.mcpctl("upgrade")
        self.assert_runs("1.1")

    def test_a_URL_is_fetched_by_the_source_user_who_alone_owns_the_clones(self):
        url = self.serve_repository()
        self.sandbox.write_configuration({"source": url})
        self.daemon.start()
        self.mcpctl("upgrade")
        self.assert_runs("1.0")
        cache = self.sandbox.state / "cache" / "demo"
        found = cache.stat()
        self.assertEqual((uid_of(SOURCE_ACCOUNT), 0o40700), (found.st_uid, found.st_mode))
        inside = list(cache.rglob("*"))
        self.assertTrue(inside)
        self.assertEqual({uid_of(SOURCE_ACCOUNT)}, {path.lstat().st_uid for path in inside})
        for user in (ANN, DORA, EVE):
            with acting_as(user), self.assertRaises(PermissionError):
                (cache / "mine").touch()

    def serve_repository(self):
        """A repository behind plain HTTP on loopback."""
        repository = Repository(self.sandbox.root / "served")
        repository.release("1.0")
        server = GitServer(repository.path.parent)
        self.addCleanup(server.close)
        return server.url("served")


class Paths(WorkerCase):
    """Who could have chosen what a path leads to decides who may read it."""

    def install(self, source, status=0):
        self.sandbox.write_configuration({"source": str(source)})
        self.daemon.start()
        return self.mcpctl("upgrade", status=status)

    def test_a_link_of_somebody_else_to_what_root_keeps_private_is_refused(self):
        secret = Repository(self.sandbox.root / "secret")
        secret.release("1.0")
        secret.path.chmod(0o700)
        bait = self.sandbox.homes[EVE] / "demo"
        bait.symlink_to(secret.path)
        printed = self.install(bait, status=1)
        self.assertIn("could lead it elsewhere", printed)
        self.assertFalse((self.sandbox.links / "demo").exists())

    def test_a_link_of_one_user_to_what_another_keeps_private_is_refused(self):
        self.sandbox.release("1.0")
        bait = self.sandbox.homes[EVE] / "demo"
        bait.symlink_to(self.sandbox.repository.path)
        os.lchown(bait, uid_of(EVE), -1)
        self.assertIn("could lead it elsewhere", self.install(bait, status=1))

    def test_a_source_in_a_directory_that_everybody_may_write_is_refused(self):
        place = self.sandbox.root / "open"
        place.mkdir()
        place.chmod(0o777)
        repository = Repository(place / "demo")
        repository.release("1.0")
        printed = self.install(repository.path, status=1)
        self.assertIn(f"everybody may write {place}", printed)
        self.assertIn("chmod go-w", printed)

    def repository_in(self, mode, group):
        """Dora's own in a directory of root's."""
        place = self.sandbox.root / "shared"
        place.mkdir()
        os.chown(place, 0, grp.getgrnam(group).gr_gid)
        place.chmod(mode)
        repository = Repository(place / "demo")
        repository.release("1.0")
        own(repository.path, DORA)
        return place, repository.path

    def test_a_source_that_a_group_could_replace_is_refused(self):
        place, source = self.repository_in(0o775, GROUP)
        self.assertIn(f"may write {place}", self.install(source, status=1))

    def test_a_source_that_anybody_could_make_again_once_it_is_gone_is_refused(self):
        place, source = self.repository_in(0o1777, "root")
        self.assertIn(f"everybody may write {place}", self.install(source, status=1))

    def test_a_checkout_that_a_group_may_write_is_refused(self):
        _, source = self.repository_in(0o755, "root")
        os.chown(source, uid_of(DORA), grp.getgrnam(GROUP).gr_gid)
        source.chmod(0o775)
        self.assertIn(f"may write {source}", self.install(source, status=1))

    def test_a_repository_that_others_may_push_to_is_refused_by_name(self):
        _, source = self.repository_in(0o755, "root")
        self.install(source)
        git = source / ".git"
        for place, mode in (("refs/heads", 0o775), ("objects", 0o777), ("config", 0o666)):
            with self.subTest(place):
                before = (git / place).stat()
                os.chown(git / place, uid_of(DORA), grp.getgrnam(GROUP).gr_gid)
                (git / place).chmod(mode)
                self.assertIn(f"may write {git / place}", self.mcpctl("upgrade", status=1))
                os.chown(git / place, before.st_uid, before.st_gid)
                (git / place).chmod(before.st_mode & 0o7777)

    def test_a_repository_that_borrows_from_somebody_else_is_refused(self):
        _, source = self.repository_in(0o755, "root")
        borrowed = self.sandbox.root / "borrowed"
        borrowed.mkdir()
        own(borrowed, EVE)
        alternates = source / ".git/objects/info/alternates"
        alternates.write_text(f"{borrowed}\n")
        os.chown(alternates, uid_of(DORA), -1)
        self.assertIn(f"{borrowed} belongs to uid", self.install(source, status=1))

    def test_a_file_that_others_may_write_is_refused_where_files_are_taken_as_they_are(self):
        _, source = self.repository_in(0o755, "root")
        self.install(source)
        (source / "lib").chmod(0o777)
        self.assertIn(f"may write {source}/lib", self.mcpctl("upgrade", "--worktree", status=1))
        shutil.rmtree(source / ".git")
        self.assertIn(f"may write {source}/lib", self.mcpctl("upgrade", status=1))

    def test_what_only_ones_own_group_may_write_is_taken(self):
        _, source = self.repository_in(0o755, "root")
        source.chmod(0o775)
        (source / ".git" / "refs").chmod(0o775)
        self.install(source)
        self.assert_runs("1.0")

    def test_links_of_root_and_of_the_owner_are_followed(self):
        self.sandbox.release("1.0")
        alias = self.sandbox.root / "alias"
        alias.symlink_to(self.sandbox.homes[DORA])
        self.install(alias / "demo")
        self.assert_runs("1.0")


class Ends(WorkerCase):
    HANG = """
        trap '' TERM HUP INT
        setsid sh -c 'trap "" TERM HUP INT; echo $$ > "$0/new"; mv "$0/new" "$0/grandchild"
                      while :; do sleep 0.1; done' "$marks" &
        while [ ! -e "$marks/grandchild" ]; do sleep 0.02; done
        echo > "$marks/uid"
        while :; do sleep 0.1; done"""

    def start_hanging(self, **configuration):
        self.sandbox.release("1.0")
        self.sandbox.adopt()
        self.sandbox.write_configuration(**configuration)
        self.daemon.start()
        self.mcpctl("upgrade")
        self.release_with_check("1.1", self.HANG)
        job, _ = self.start_gated()
        grandchild = int((self.marks / "grandchild").read_text())
        self.assertEqual(str(uid_of(DORA)), status_of(grandchild)["Uid"][0])
        return job, grandchild

    def assert_all_gone(self, grandchild):
        self.assertFalse(is_running(grandchild))
        wait_for(lambda: not children_of(self.daemon.pid), "the end of the workers")
        self.assert_runs("1.0")

    def test_a_cancel_ends_what_escaped_and_ignores_signals(self):
        job, grandchild = self.start_hanging()
        self.mcpctl("cancel", str(job), user=ANN)
        self.assertEqual("cancelled", self.wait_ended(job)["outcome"])
        self.assert_all_gone(grandchild)

    def test_a_deadline_ends_what_escaped_and_ignores_signals(self):
        checks = [{"arguments": ["--help"], "essential": True, "deadline_seconds": 2}]
        job, grandchild = self.start_hanging(application={"checks": checks})
        self.assertEqual("failed", self.wait_ended(job)["outcome"])
        self.assert_all_gone(grandchild)

    def test_what_a_check_leaves_in_its_home_is_removed_as_its_user(self):
        self.sandbox.release("1.0")
        self.sandbox.adopt()
        self.daemon.start()
        self.mcpctl("upgrade")
        self.release_with_check("1.1", f"""
            mkdir -p "$HOME/a/b" "$HOME/c"; echo > "$HOME/a/b/file"; chmod 0 "$HOME/a/b"
            ln -s {self.sandbox.links} "$HOME/c/link" """)
        self.mcpctl("upgrade")
        self.assertEqual([], list((self.sandbox.state / "scratch").glob("*/*")))
        self.assert_runs("1.1")


class SideBySide(WorkerCase):
    """Several users in one job: DORA may fail it, the others are only looked after."""

    USERS = (DORA, ANN, BOB)
    #: Nobody's check ends before everybody's runs.
    MEET = """
        touch "$marks/$(id -u)"
        while [ "$(ls "$marks" | wc -l)" -lt 3 ]; do sleep 0.02; done"""
    #: In the real home it spoils a file and fails.
    SPOIL = """
        case "$HOME" in
          */scratch/*) ;;
          *) echo '{"servers": {"bad": 1}}' > "$HOME/.demo/settings.json"; exit 1 ;;
        esac"""

    def setUp(self):
        super().setUp()
        self.sandbox.release("1.0")
        self.sandbox.adopt()
        self.sandbox.write_configuration(users=self.USERS, required_users=[DORA])
        self.daemon.start()

    def settings(self):
        return [(self.sandbox.homes[user] / ".demo" / "settings.json").read_text()
                for user in self.USERS]

    def test_users_are_checked_at_the_same_time_each_as_itself(self):
        self.release_with_check("1.1", self.MEET)
        self.mcpctl("upgrade")
        self.assertEqual({str(uid_of(user)) for user in self.USERS},
                         {mark.name for mark in self.marks.iterdir()})
        self.assert_runs("1.1")
        for user in self.USERS:
            self.assertIn(f"configuration files of {user}", self.texts(1))

    def test_what_a_release_spoilt_is_put_back_in_every_home(self):
        self.mcpctl("upgrade")
        before = self.settings()
        self.release_with_check("1.1", self.SPOIL)
        self.mcpctl("upgrade", status=1)
        self.assertEqual(before, self.settings())
        self.assert_runs("1.0")
        self.assertNotIn("config.unrestored", {event["id"] for event in self.events(2)})


if __name__ == "__main__":
    run_tests()
