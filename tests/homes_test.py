#!/usr/bin/env python3
"""Homes that are not there, hang, or shut root out, and checks that fail, hang or misbehave for one
user: who is concerned by them, and for how long."""

import contextlib
import ctypes
import os
import pathlib
import shutil
import stat
import subprocess
import time
import unittest

from daemon_fixture import SLOWNESS, children_of, differences, listing, wait_for
from rights_fixture import ANN, BOB, DORA, CheckTestCase, process_rights, run_tests, uid_of

needs_fuse = unittest.skipUnless(os.path.exists("/dev/fuse"), "this kernel has no FUSE")
LIBC = ctypes.CDLL(None, use_errno=True)
DETACH = 2
#: A home may take ten seconds each time somebody looks at it; nobody waits longer.
HOME_SECONDS = 10


@contextlib.contextmanager
def hanging_file_system(place):
    """One that answers nobody: a network share whose server has gone."""
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    try:
        if LIBC.mount(b"hanging", os.fsencode(place), b"fuse", 0, options.encode()):
            raise OSError(ctypes.get_errno(), "mount")
        try:
            yield
        finally:
            LIBC.umount2(os.fsencode(place), DETACH)
    finally:
        os.close(device)


@contextlib.contextmanager
def home_that_denies_root(real, place, user):
    """`real`, seen at `place` by its user alone: not even root may look, as with root_squash."""
    mode = stat.S_IMODE(os.stat("/dev/fuse").st_mode)
    os.chmod("/dev/fuse", 0o666)  # as udev makes it
    server = subprocess.Popen(["bindfs", "-f", "--no-allow-other", real, place],
                              stdin=subprocess.DEVNULL, **process_rights(user))
    try:
        wait_for(lambda: f" {place} fuse" in pathlib.Path("/proc/self/mounts").read_text(),
                 "the mount")
        yield
    finally:
        LIBC.umount2(os.fsencode(place), DETACH)
        server.terminate()
        server.wait(20)
        os.chmod("/dev/fuse", mode)


class HomesCase(CheckTestCase):
    """Dora's failing fails the job, Bob's does not."""

    def setUp(self):
        super().setUp()
        self.sandbox.release("1.0")
        self.sandbox.adopt()
        self.configure()
        self.daemon.start()
        self.mcpctl("upgrade")
        self.sandbox.release("1.1")

    def configure(self, required=(DORA,), **changes):
        self.sandbox.write_configuration(users=[DORA, BOB], required_users=list(required), **changes)

    def require_bob(self):
        self.configure(required=(DORA, BOB))
        self.daemon.stop()
        self.daemon.start()

    def assert_bob_alone_is_left_out(self, reason):
        begin = time.monotonic()
        self.mcpctl("upgrade")
        took = time.monotonic() - begin
        self.assert_runs("1.1")
        said = self.texts(2)
        self.assertIn(f"configuration files of {DORA}", said)
        self.assertRegex(said, rf"\[WARNING\] configuration of {BOB} left alone: .*{reason}")
        self.assertEqual("", self.attention())
        wait_for(lambda: not children_of(self.daemon.pid), "the end of the workers")
        return took

    def assert_refused_naming(self, *words):
        before = listing(self.sandbox.links)
        said = self.mcpctl("upgrade", status=1)
        for word in words:
            self.assertIn(word, said)
        self.assertEqual([], differences(before, listing(self.sandbox.links)))
        self.assert_runs("1.0")
        self.assertEqual("", self.attention())

    def attention(self):
        with self.sandbox.peer() as peer:
            return peer.call("Status")["parameters"].get("attention") or ""


class Homes(HomesCase):
    def test_one_that_is_missing_concerns_only_its_user(self):
        shutil.rmtree(self.sandbox.homes[BOB])
        self.assert_bob_alone_is_left_out(str(self.sandbox.homes[BOB]))

    def test_a_missing_one_of_a_required_user_refuses_the_upgrade_by_name(self):
        self.require_bob()
        shutil.rmtree(self.sandbox.homes[BOB])
        self.assert_refused_naming(BOB, str(self.sandbox.homes[BOB]))

    @needs_fuse
    def test_one_that_hangs_costs_its_own_deadline_and_concerns_only_its_user(self):
        with hanging_file_system(self.sandbox.homes[BOB]):
            took = self.assert_bob_alone_is_left_out("")
        self.assertLess(took, (HOME_SECONDS + 10) * SLOWNESS)

    @needs_fuse
    def test_a_hanging_one_of_a_required_user_refuses_the_upgrade_by_name(self):
        self.require_bob()
        with hanging_file_system(self.sandbox.homes[BOB]):
            self.assert_refused_naming(BOB, str(self.sandbox.homes[BOB]))

    @needs_fuse
    def test_a_cancel_does_not_wait_for_one_that_hangs(self):
        with hanging_file_system(self.sandbox.homes[BOB]):
            with self.sandbox.peer() as peer:
                job = peer.call("Upgrade")["parameters"]["job"]
            wait_for(lambda: "snapshot" in {event["phase"] for event in self.events(job)},
                     "the snapshot")
            begin = time.monotonic()
            self.mcpctl("cancel", str(job))
            self.assertEqual("cancelled", self.wait_ended(job)["outcome"])
            self.assertLess(time.monotonic() - begin, 5 * SLOWNESS)
        self.assert_runs("1.0")

    @needs_fuse
    @unittest.skipUnless(shutil.which("bindfs"), "bindfs is not installed")
    def test_one_that_shuts_root_out_is_looked_after_by_its_user(self):
        real = self.sandbox.root / "homes" / "real"
        self.sandbox.homes[BOB].rename(real)
        self.sandbox.homes[BOB].mkdir()
        os.chown(self.sandbox.homes[BOB], uid_of(BOB), -1)
        with home_that_denies_root(real, self.sandbox.homes[BOB], BOB):
            with self.assertRaises(PermissionError):
                os.listdir(self.sandbox.homes[BOB])
            self.mcpctl("upgrade")
        self.assert_runs("1.1")
        self.assertIn(f"configuration files of {BOB}", self.texts(2))

    def test_one_that_its_own_user_may_not_enter_is_named(self):
        os.chown(self.sandbox.homes[BOB], 0, 0)
        self.assert_bob_alone_is_left_out(str(self.sandbox.homes[BOB]))


class Checks(HomesCase):
    """What a release does to Bob alone."""

    def release_for_bob(self, script):
        self.release_with_check("1.2", f'if [ "$(id -u)" = {uid_of(BOB)} ]; then {script}\nfi')

    def upgrade(self):
        begin = time.monotonic()
        self.mcpctl("upgrade")
        self.assert_runs("1.2")
        return time.monotonic() - begin

    def test_one_that_fails_warns_and_does_not_veto(self):
        self.release_for_bob("exit 3")
        self.upgrade()
        self.assertRegex(self.texts(2), r"\[WARNING\] .*--help.*exit code 3")

    def test_of_a_required_user_it_undoes_the_upgrade(self):
        self.require_bob()
        self.release_for_bob("exit 3")
        self.assertIn("exit code 3", self.mcpctl("upgrade", status=1))
        self.assert_runs("1.0")

    def test_one_that_hangs_costs_its_own_deadline(self):
        checks = [{"arguments": ["--help"], "essential": True, "deadline_seconds": 2}]
        self.configure(application={"checks": checks})
        self.daemon.stop()
        self.daemon.start()
        self.release_for_bob("sleep 600")
        self.assertLess(self.upgrade(), 20 * SLOWNESS)
        self.assertRegex(self.texts(2), r"\[WARNING\] ")

    def test_one_that_floods_and_breeds_harms_nobody(self):
        self.release_for_bob("""
            for i in 1 2 3 4 5 6 7 8; do (trap '' TERM; setsid sleep 600 &) ; done
            head -c 100000000 /dev/zero | tr '\\\\0' x""")
        self.upgrade()
        wait_for(lambda: not children_of(self.daemon.pid), "the end of the workers")
        running = subprocess.run(["pgrep", "-u", BOB], capture_output=True, check=False).stdout
        self.assertEqual(b"", running)
        self.assertLess(self.daemon.memory_kilobytes(), 60_000 * SLOWNESS)

    def test_one_that_forks_without_end_is_gone_with_all_that_it_forked(self):
        # Each ends by itself, should anything here go wrong.
        self.release_for_bob("f() { [ $(($(date +%s) - start)) -gt 60 ] || { f & f & wait; }; }\n"
                             "start=$(date +%s); f")
        self.upgrade()
        self.assertRegex(self.texts(2), r"\[WARNING\] ")
        wait_for(lambda: not children_of(self.daemon.pid), "the end of the workers")
        running = subprocess.run(["pgrep", "-u", BOB], capture_output=True, check=False).stdout
        self.assertEqual(b"", running)

    def test_one_that_fills_its_home_with_what_is_no_file_harms_nobody(self):
        self.release_for_bob('rm -f "$HOME/.demo/settings.json"; mkfifo "$HOME/.demo/settings.json"')
        self.upgrade()
        self.assertEqual('{"servers": {}}\n',
                         (self.sandbox.homes[DORA] / ".demo" / "settings.json").read_text())


if __name__ == "__main__":
    run_tests()
