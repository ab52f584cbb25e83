"""What the daemon's program does on its own, where no daemon can serve: it recovers and rolls back
under the same lock, without socket, client or configuration file."""

import os
import subprocess
import unittest

from crash_fixture import CrashTestCase, Machine
from client_fixture import end_serving
from daemon_fixture import DAEMON


class Offline(CrashTestCase):
    def setUp(self):
        self.machine = Machine()
        self.addCleanup(self.machine.close)
        for minor in (1, 2):
            self.machine.release(minor)
            self.machine.mcpctl("upgrade")
        end_serving(self.machine.state)

    def offline(self, *options, expect=0):
        """Runs the daemon's program to its end; what it says."""
        sandbox = self.machine.sandbox
        done = subprocess.run(
            [DAEMON, *options, *sandbox.instance_arguments()], env=sandbox.environment(), cwd="/",
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(expect, done.returncode, done.stderr)
        return done.stdout + done.stderr

    def interrupt(self):
        """Kills the daemon in an upgrade to 1.3.0, right behind its switch; nobody recovers."""
        machine = self.machine
        machine.release(3)
        moment = machine.at_step(4)
        machine.mcpctl("upgrade", "--detach")
        while not moment(0):
            pass
        end_serving(machine.state)
        self.assertTrue((machine.state / "journal").exists())

    def test_a_job_that_was_interrupted_is_undone_without_a_daemon(self):
        old = self.machine.view_of(2)
        self.interrupt()
        said = self.offline("--recover")
        self.assertIn("everything is as it was", said)
        self.assertEqual(old, self.machine.view())
        self.assertFalse((self.machine.state / "journal").exists())
        self.assertFalse(self.machine.serves(), "no daemon was started")
        self.upgrade_works(self.machine, 3)

    def test_where_nothing_is_to_be_recovered_it_says_so_and_changes_nothing(self):
        before = self.machine.state_listing()
        self.assertIn("nothing is left to recover", self.offline("--recover"))
        self.assertEqual(before, self.machine.state_listing())

    def test_a_rollback_goes_to_the_release_before_configuration_files_included(self):
        said = self.offline("--rollback")
        self.assertIn("rolled back to 1.1.0", said)
        self.assertEqual(self.machine.view_of(1), self.machine.view())
        self.assertEqual("rollback", self.machine.job(3)["kind"])

    def test_a_rollback_recovers_first(self):
        self.interrupt()
        said = self.offline("--rollback")
        self.assertLess(said.index("everything is as it was"), said.index("rolled back to 1.1.0"))
        self.assertEqual(self.machine.view_of(1), self.machine.view())

    def test_a_release_that_does_not_exist_is_named_and_nothing_changes(self):
        said = self.offline("--rollback", "--to", "9.9", expect=1)
        self.assertIn("9.9", said)
        self.assertEqual(self.machine.view_of(2), self.machine.view())

    def test_while_a_daemon_runs_it_refuses_and_names_it(self):
        self.machine.mcpctl("status")
        for option in ("--recover", "--rollback"):
            with self.subTest(option):
                said = self.offline(option, expect=1)
                self.assertRegex(said, r"mcp-upgraded.*stop it first")
        self.assertEqual(self.machine.view_of(2), self.machine.view())

    def test_a_mistake_in_the_configuration_keeps_nobody_from_recovering(self):
        old = self.machine.view_of(2)
        self.interrupt()
        good = self.machine.sandbox.config_file.read_text()
        self.machine.sandbox.config_file.write_text("{ not json")
        said = self.offline("--recover")
        self.assertIn(str(self.machine.sandbox.config_file), said)
        self.assertEqual(old, self.machine.view())
        self.assertIn(str(self.machine.sandbox.config_file), self.offline("--rollback", expect=2))
        self.machine.sandbox.config_file.write_text(good)
        self.assertEqual(old, self.machine.view())

    def test_a_home_that_cannot_be_reached_is_named_and_recovery_stays_pending(self):
        self.interrupt()
        settings = self.machine.sandbox.settings_file
        moved = settings.parent.with_name("elsewhere")
        os.rename(settings.parent, moved)
        os.symlink("/nowhere", settings.parent)
        said = self.offline("--recover", expect=6)
        self.assertIn("needs attention", said)
        self.assertTrue((self.machine.state / "journal").exists())
        os.unlink(settings.parent)
        os.rename(moved, settings.parent)
        self.offline("--recover")
        self.assertEqual(self.machine.view_of(2), self.machine.view())


if __name__ == "__main__":
    unittest.main()
