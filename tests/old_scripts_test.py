#!/usr/bin/env python3
"""Old upgrade scripts that run beside us. One counts as running only as a process of root or of a
managed user whose script lies in the adopted checkout: then nothing is changed under its feet, and
it is named. A lock file in /tmp, which anybody can make, only warns.

All of this has a /tmp of its own, since that is where the scripts' lock files lie.
"""

import os
import pathlib
import signal
import subprocess
import unittest

from daemon_fixture import Repository, wait_for
from job_fixture import JobTestCase
from private_places import make_private

NOT_PRIVATE = "not tried"
NOBODY = 65534
SCRIPT_LOCKS = ("/tmp/mcp-upgrade.lock", "/tmp/mcp-auto-upgrade.lock")

PROGRAM = Repository.PROGRAM.replace("# Greets", "# .mcp-central: how it is recognized. Greets")

#: Stands for the old scripts where what they do does not matter: it runs until the gate is open.
SCRIPT = """#!/bin/bash
: > "$MARKS/waits"
until [ -e "$MARKS/gate" ]; do sleep 0.02; done
"""


def setUpModule():
    global NOT_PRIVATE
    NOT_PRIVATE = make_private()


class OldScripts(JobTestCase):
    def setUp(self):
        super().setUp()
        if NOT_PRIVATE:
            self.skipTest(NOT_PRIVATE)
        self.checkout = self.repository.path
        self.link = self.sandbox.links / "mcp"
        # The application as it is built in, but for the place of its command.
        self.sandbox.write_configuration(applications={"mcp": {
            "entry_points": [{"name": "mcp", "path": "bin/mcp", "link": str(self.link)}]}})
        self.release("1.0")
        self.link.symlink_to(self.checkout / "bin" / "mcp")
        self.marks = self.sandbox.root / "marks"
        self.marks.mkdir()
        self.marks.chmod(0o777)
        self.sandbox.top.chmod(0o755)
        self.addCleanup(self.remove_locks)
        self.daemon.start()
        self.mcpctl("upgrade")
        self.release("1.1")

    def release(self, version):
        files = {f"scripts/{name}": SCRIPT for name in ("quick-upgrade.sh", "auto-upgrade.sh")}
        self.repository.release(version, {"bin/mcp": PROGRAM} | files)
        for name in files:
            (self.checkout / name).chmod(0o755)

    @staticmethod
    def remove_locks():
        for path in map(pathlib.Path, SCRIPT_LOCKS):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)

    def version(self):
        done = subprocess.run([self.link, "status"], env=self.sandbox.environment(), text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, check=True)
        return done.stdout.split()[1].rstrip(":")

    def start(self, *words, directory="/", **options):
        """A process that runs until the gate is open; returned once it has begun."""
        for name in ("gate", "waits"):
            (self.marks / name).unlink(missing_ok=True)
        process = subprocess.Popen([str(word) for word in words], cwd=directory,
                                   stdin=subprocess.DEVNULL, start_new_session=True,
                                   env=os.environ | {"MARKS": str(self.marks)}, **options)
        self.addCleanup(self.end_group, process)
        return process

    @staticmethod
    def end_group(process):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def begun(self, process):
        wait_for((self.marks / "waits").exists, "the script's start")
        return process

    def open_gate(self, process):
        (self.marks / "gate").touch()
        process.wait(20)

    def assert_counts(self, process, script):
        """Nothing is changed while it runs, and it is named."""
        refused = self.sandbox.mcpctl("upgrade", "--no-wait")
        said = refused.stdout + refused.stderr
        self.assertIn(refused.status, (1, 3), said)
        self.assertIn(str(script), said)
        self.assertIn(str(process.pid), said)
        self.assertEqual("1.0", self.version())
        told = self.sandbox.mcpctl("status")
        self.assertIn(str(script), told.stdout)
        self.assertIn("what to do", told.stdout)
        self.open_gate(process)
        self.mcpctl("upgrade")
        self.assertEqual("1.1", self.version())

    def assert_does_not_count(self):
        printed = self.mcpctl("upgrade", "--no-wait")
        self.assertEqual("1.1", self.version(), printed)

    # --- what counts ---

    def test_a_script_of_the_checkout_counts_by_its_whole_path(self):
        script = self.checkout / "scripts" / "quick-upgrade.sh"
        self.assert_counts(self.begun(self.start("bash", script)), script)

    def test_a_script_of_the_checkout_counts_by_a_relative_path(self):
        script = self.checkout / "scripts" / "auto-upgrade.sh"
        process = self.start("bash", "-e", "scripts/auto-upgrade.sh", "--force",
                             directory=self.checkout)
        self.assert_counts(self.begun(process), script)

    def test_a_script_of_the_checkout_counts_when_it_is_executed_by_itself(self):
        script = self.checkout / "scripts" / "quick-upgrade.sh"
        process = self.start("./quick-upgrade.sh", directory=script.parent)
        self.assert_counts(self.begun(process), script)

    def test_rollbacks_are_not_made_beside_it_either(self):
        self.mcpctl("upgrade")
        script = self.checkout / "scripts" / "quick-upgrade.sh"
        process = self.begun(self.start("bash", script))
        for words in (["rollback"], ["rollback", "--to", "before"]):
            refused = self.sandbox.mcpctl(*words, "--no-wait")
            self.assertIn(refused.status, (1, 3), refused)
            self.assertIn(str(script), refused.stdout + refused.stderr)
            self.assertEqual("1.1", self.version())
        self.open_gate(process)
        self.mcpctl("rollback")
        self.assertEqual("1.0", self.version())

    # --- what does not ---

    def test_the_same_script_elsewhere_does_not_count(self):
        script = self.sandbox.root / "scripts" / "quick-upgrade.sh"
        script.parent.mkdir()
        script.write_text(SCRIPT)
        self.begun(self.start("bash", script))
        self.assert_does_not_count()

    def test_who_only_reads_or_names_the_script_does_not_count(self):
        script = self.checkout / "scripts" / "quick-upgrade.sh"
        self.start("tail", "-f", script, stdout=subprocess.DEVNULL)
        self.start("sh", "-c", "sleep 60; :", str(script))
        self.assert_does_not_count()

    @unittest.skipUnless(os.geteuid() == 0, "only root can be somebody else")
    def test_a_script_that_a_stranger_runs_does_not_count(self):
        script = self.checkout / "scripts" / "quick-upgrade.sh"
        self.begun(self.start("bash", script, user=NOBODY, group=NOBODY, extra_groups=[]))
        self.assert_does_not_count()

    # --- lock files ---

    def test_a_lock_file_alone_only_warns_and_is_named(self):
        for path in map(pathlib.Path, SCRIPT_LOCKS):
            with self.subTest(path=path):
                path.write_text("1\n")
                printed = self.mcpctl("upgrade", "--force")
                self.assertRegex(printed, rf"\[WARNING\].*{path}")
                self.assertEqual("1\n", path.read_text(), "it is not ours to delete")
                self.assertEqual("1.1", self.version())
                path.unlink()

    def test_whatever_stands_in_place_of_a_lock_file_stops_nobody(self):
        path = pathlib.Path(SCRIPT_LOCKS[0])
        for make in (path.mkdir, lambda: os.mkfifo(path), lambda: path.symlink_to("/etc/shadow"),
                     lambda: path.symlink_to(path.name)):
            make()
            self.mcpctl("upgrade", "--force", seconds=30)
            self.assertEqual("1.1", self.version())
            self.remove_locks()


if __name__ == "__main__":
    unittest.main()
