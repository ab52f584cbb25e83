#!/usr/bin/env python3
"""The ways in which the upgrade scripts of old lost data, continued: faults 8, 11 and 12 of the
design's list (checks that do not count, a full disk, paths and names)."""

import contextlib
import fcntl
import json
import os
import resource
import stat
import struct
import subprocess
import unittest

from daemon_fixture import Sandbox, listing, wait_for
from job_fixture import JobTestCase, behaviour


class Checked(JobTestCase):
    def test_fault_08_a_failing_status_or_check_fails_the_upgrade(self):
        self.install_first_release()
        links, app = listing(self.sandbox.links), self.sandbox.state / "apps" / "demo" / "releases"
        releases = listing(app)
        for number, (command, mode) in enumerate(
                [("status", "--quick"), ("status", "--full"), ("check", "--full")]):
            with self.subTest(command=command, mode=mode):
                version = f"1.{number + 1}"
                self.repository.release(
                    version, behaviour(version, f'[ "$1" != {command} ] || exit 7'))
                printed = self.mcpctl("upgrade", mode, status=1)
                self.assertIn(f"check demo {command} passed with the old release and fails with "
                              "the new one: exit code 7", printed)
                self.assertNotIn(f"upgraded to {version}", printed)
                self.assert_same(links, listing(self.sandbox.links))
                self.assert_same(releases, listing(app))
                self.assert_runs("1.0")

    def hide_behind_another(self, code):
        """Another program of the same name, first on everybody's PATH, that notes its calls."""
        other = self.sandbox.root / "other"
        other.mkdir()
        program = other / "demo"
        program.write_text(f'#!/bin/sh\necho "$*" >> "{self.sandbox.root}/called"\n{code}\n')
        program.chmod(0o755)
        path = f"{other}:{self.sandbox.environment()['PATH']}"
        self.sandbox.write_configuration({"environment": {"PATH": path}})
        self.repository.release("1.0")
        self.daemon.start(environment={"PATH": path})

    def test_fault_08_another_command_that_comes_first_on_the_path_is_not_what_is_checked(self):
        self.hide_behind_another("exit 0")
        printed = self.mcpctl("upgrade", "--full")
        self.assertIn("comes first on PATH", printed)
        self.assertIn(f'export PATH="{self.sandbox.links}:$PATH"', printed)
        self.repository.release("1.1", behaviour("1.1", '[ "$1" != status ] || exit 7'))
        self.mcpctl("upgrade", status=1)
        self.assert_runs("1.0")
        self.assertFalse((self.sandbox.root / "called").exists())

    def test_fault_08_nor_does_another_broken_command_disturb_a_good_release(self):
        self.hide_behind_another("exit 1")
        self.mcpctl("upgrade", "--full")
        self.repository.release("1.1")
        self.mcpctl("upgrade")
        self.assert_runs("1.1")
        self.assertFalse((self.sandbox.root / "called").exists())
        status, [answer] = self.sandbox.mcpctl_json("status")
        self.assertEqual(0, status)
        self.assertEqual("shadowed", answer["applications"][0]["entry_points"][0]["state"])


class HomeLock:
    """The lock of a home, held by somebody else, so that a job waits before its backup."""

    def __init__(self, sandbox):
        self.file = open(sandbox.home / ".local" / "state" / "mcp-upgraded.lock", "r+b")
        self.set(fcntl.F_WRLCK)

    def set(self, kind):
        record = struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(self.file, fcntl.F_OFD_SETLK, record)

    def release(self):
        self.set(fcntl.F_UNLCK)
        self.file.close()


class FullDisk(JobTestCase):
    DISK_BYTES = 24 << 20
    SETTINGS = json.dumps({"servers": {"one": {}}, "filler": "x" * (3 << 20)})

    def use_small_disk(self):
        """A file system of its own for the state directory."""
        if os.geteuid() != 0:
            self.skipTest("mounting a small file system takes root")
        self.sandbox.state.mkdir(mode=0o700)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.DISK_BYTES},mode=0700",
                               "tmpfs", self.sandbox.state], capture_output=True, text=True,
                              check=False)
        if done.returncode:
            self.skipTest(f"cannot mount a file system here: {done.stderr.strip()}")
        self.addCleanup(self.unmount)

    def unmount(self):
        if self.daemon.process:
            self.daemon.kill()
        subprocess.run(["umount", self.sandbox.state], check=True)

    def without_space_rule(self):
        self.sandbox.write_configuration(limits={"quick_free_bytes": 0, "full_free_bytes": 0})

    def fill(self, left_bytes):
        """Leaves so much room on the small disk. Returns the file that takes the rest."""
        ballast = self.sandbox.state / "ballast"
        with open(ballast, "wb", buffering=0) as file:
            space = os.statvfs(self.sandbox.state)
            with contextlib.suppress(OSError):
                os.posix_fallocate(file.fileno(), 0,
                                   space.f_bavail * space.f_frsize - left_bytes)
            if left_bytes == 0:
                with contextlib.suppress(OSError):
                    while file.write(b"x" * 4096):
                        pass
        return ballast

    def releases(self):
        return sorted(os.listdir(self.sandbox.state / "apps" / "demo" / "releases"))

    def snapshots(self):
        return sorted(os.listdir(self.sandbox.state / "snapshots"))

    def test_fault_11_too_little_space_is_refused_before_anything_is_done(self):
        self.use_small_disk()
        self.repository.release("1.0")
        self.daemon.start()
        links, home = listing(self.sandbox.links), self.sandbox.settings_file.read_bytes()
        for mode in ("--quick", "--full"):
            printed = self.mcpctl("upgrade", mode, status=1)
            self.assertIn("not enough space", printed)
            self.assertIn("needed", printed)
        self.assert_same(links, listing(self.sandbox.links))
        self.assertEqual(home, self.sandbox.settings_file.read_bytes())
        self.assertEqual([], [name for name in listing(self.sandbox.state) if "releases/" in name])

    def fail_in_backup(self, fail):
        """An upgrade to 1.1 during whose backup fail() takes effect. Returns the client."""
        lock = HomeLock(self.sandbox)
        client = self.begin("upgrade")
        wait_for(lambda: '"phase":"snapshot"' in self.events(2), "the backup")
        kept = fail()
        lock.release()
        client.wait(60)
        return client, kept

    def prepare(self):
        self.sandbox.settings_file.write_text(self.SETTINGS)
        self.without_space_rule()
        self.install_first_release()
        self.before = (self.releases(), self.snapshots(), listing(self.sandbox.links))
        self.repository.release("1.1")

    def assert_as_before(self):
        self.assertEqual(self.SETTINGS, self.sandbox.settings_file.read_text())
        self.assert_runs("1.0")
        releases, snapshots, links = self.before
        self.assertEqual((releases, snapshots), (self.releases(), self.snapshots()))
        self.assert_same(links, listing(self.sandbox.links))

    def assert_works_again(self):
        self.mcpctl("upgrade", "--full")
        self.assert_runs("1.1")
        self.mcpctl("rollback")
        self.assert_runs("1.0")
        self.assertEqual(self.SETTINGS, self.sandbox.settings_file.read_text())

    def test_fault_11_a_disk_that_is_full_during_the_backup_undoes_the_upgrade(self):
        self.use_small_disk()
        self.prepare()
        client, ballast = self.fail_in_backup(lambda: self.fill(1 << 20))
        printed = client.stdout.read()
        self.assertEqual(1, client.returncode, printed)
        self.assertIn("No space left", printed)
        self.assertIn("everything is as it was before this job", printed)
        self.assert_as_before()
        ballast.unlink()
        # The release is not to blame, and is not denied.
        self.assert_works_again()

    def test_fault_11_a_disk_that_was_full_before_the_job_ends_it_and_its_client(self):
        self.use_small_disk()
        self.prepare()
        ballast = self.fill(8192)
        client = self.begin("upgrade", "--full")
        client.wait(60)
        self.assertEqual(1, client.returncode)
        self.assertIn("free some space there", client.stdout.read())
        self.assertNotIn("queued", self.sandbox.mcpctl("jobs").stdout)
        self.assert_as_before()
        ballast.unlink()
        self.assert_works_again()
        self.assertIn("No space left", self.mcpctl("jobs"))

    def test_fault_11_with_no_byte_left_nothing_is_lost_and_it_recovers_when_there_is_room(self):
        self.use_small_disk()
        self.prepare()
        client, ballast = self.fail_in_backup(lambda: self.fill(0))
        self.assertIn(client.returncode, (1, 5, 6), client.stdout.read())
        self.assertEqual(self.SETTINGS, self.sandbox.settings_file.read_text())
        self.assert_runs("1.0")
        self.assertEqual(0, self.sandbox.mcpctl("status").status)
        ballast.unlink()
        if self.daemon.process.poll() is None:
            self.daemon.kill()
        self.daemon.process = None
        self.daemon.start()
        self.wait_idle()
        self.assert_as_before()
        self.assert_works_again()

    def test_fault_11_a_file_size_limit_during_the_backup_undoes_the_upgrade(self):
        self.prepare()

        def limit():
            resource.prlimit(self.daemon.pid, resource.RLIMIT_FSIZE, (1 << 20, -1))

        client, _ = self.fail_in_backup(limit)
        printed = client.stdout.read()
        self.assertIsNone(self.daemon.process.poll(), "the daemon was killed")
        self.assertEqual(1, client.returncode, printed)
        self.assertIn("everything is as it was before this job", printed)
        self.assert_as_before()
        resource.prlimit(self.daemon.pid, resource.RLIMIT_FSIZE, (-1, -1))
        self.assert_works_again()


class Names(JobTestCase):
    JOBS = 8

    def setUp(self):
        super().setUp()
        self.sandbox.close()
        self.sandbox = Sandbox("a b 中文")
        self.addCleanup(self.sandbox.close)
        self.daemon = self.sandbox.daemon
        self.repository = self.sandbox.repository
        # What an unquoted path would have meant: innocent neighbours.
        for name in ("a", "b", "中文", "state"):
            (self.sandbox.top / name).mkdir()
            (self.sandbox.top / name / "precious").write_text("precious")

    def neighbours(self):
        return listing(self.sandbox.top, [self.sandbox.root.name])

    def settings(self, text):
        self.sandbox.settings_file.write_text(json.dumps({"servers": {text: {}}}))

    def test_fault_12_spaces_and_chinese_in_every_path_are_only_names(self):
        keep = {"quick": 2, "full": 1}
        path = "我的 文件/设 置.json"
        self.sandbox.settings_file = self.sandbox.home / path
        self.sandbox.settings_file.parent.mkdir()
        self.settings("0")
        self.sandbox.write_configuration({"files": [{"path": path}]}, retention=keep)
        neighbours = self.neighbours()
        self.repository.release("1.0", {"lib/有 空格.txt": "文"})
        self.daemon.start()
        self.mcpctl("upgrade")
        change = f'[ "$HOME" != "{self.sandbox.home}" ] || echo "{{}}" > "$HOME/{path}"'
        for number in range(1, 5):
            version = f"1.{number}"
            self.repository.release(version, behaviour(version, change if number == 4 else ""))
            self.mcpctl("upgrade", "--full" if number % 2 else "--quick")
            self.assert_runs(version)
        self.assertEqual("{}\n", self.sandbox.settings_file.read_text())
        self.mcpctl("rollback")
        self.assert_runs("1.3")
        self.assertEqual({"servers": {"0": {}}}, json.loads(self.sandbox.settings_file.read_text()))
        self.assert_same(neighbours, self.neighbours())
        removed = self.mcpctl("releases")
        self.assertNotIn("1.0-", removed)
        self.mcpctl("rollback", "--to", "before")
        self.assertFalse(os.path.lexists(self.sandbox.links / "demo"))

    def upgrade_quickly(self):
        """Many upgrades, the settings edited before each; returns what they were, by job."""
        self.sandbox.write_configuration(retention={"quick": 2 * self.JOBS, "full": 3})
        self.repository.release("1.0")
        self.daemon.start()
        self.mcpctl("upgrade")
        edits = {}
        for number in range(2, 2 + self.JOBS):
            self.settings(f"edit {number}")
            edits[number] = self.sandbox.settings_file.read_bytes()
            self.mcpctl("upgrade", "--force")
        return edits

    def test_fault_12_upgrades_within_one_second_each_have_a_backup_of_their_own(self):
        edits = self.upgrade_quickly()
        for number, edit in edits.items():
            with self.subTest(job=number):
                snapshot = self.sandbox.state / "snapshots" / str(number)
                contents = list(snapshot.glob("*/content/*"))
                self.assertEqual([edit], [content.read_bytes() for content in contents])

    def test_fault_12_nobody_else_can_read_what_was_saved(self):
        self.upgrade_quickly()
        for directory in ("snapshots", "jobs"):
            for name, entry in listing(self.sandbox.state / directory).items():
                mode = int(entry["mode"], 8)
                wanted = 0o700 if stat.S_ISDIR(mode) else 0o600
                self.assertEqual(oct(wanted), oct(stat.S_IMODE(mode)), f"{directory}/{name}")
        for name in (".", "state.json", "lock"):
            self.assertEqual(0, os.stat(self.sandbox.state / name).st_mode & 0o077, name)


if __name__ == "__main__":
    unittest.main()
