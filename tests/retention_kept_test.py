#!/usr/bin/env python3
"""What retention keeps and what it removes: releases, their backups, pins, and releases that a
process still runs from."""

import os
import subprocess
import unittest

from daemon_fixture import wait_for
from job_fixture import JobTestCase, behaviour, failing


class Retention(JobTestCase):
    def setUp(self):
        super().setUp()
        self.sandbox.write_configuration(retention={"quick": 2, "full": 1})

    def upgrade_to(self, *versions, mode="--quick"):
        for version in versions:
            if self.sandbox.state.exists():
                self.wait_idle()
            self.repository.release(version)
            self.mcpctl("upgrade", mode)
            self.assert_runs(version)

    def kept(self):
        """The versions that are stored, as the client says and as the disk says."""
        status, [answer] = self.sandbox.mcpctl_json("releases")
        self.assertEqual(0, status)
        on_disk = os.listdir(self.sandbox.state / "apps" / "demo" / "releases")
        self.assertEqual(sorted(on_disk), sorted(one["release"] for one in answer["releases"]))
        return sorted(one["version"] for one in answer["releases"])

    def release_called(self, version):
        _, [answer] = self.sandbox.mcpctl_json("releases")
        return next(one for one in answer["releases"] if one["version"] == version)

    def snapshots(self):
        return sorted(int(name) for name in os.listdir(self.sandbox.state / "snapshots"))

    def test_quick_jobs_keep_what_the_last_of_them_need(self):
        self.daemon.start()
        self.upgrade_to("1.0", "1.1", "1.2", "1.3", "1.4")
        # The last two jobs went from 1.2 to 1.3 and from 1.3 to 1.4.
        self.assertEqual(["1.2", "1.3", "1.4"], self.kept())
        self.assertEqual([4, 5], self.snapshots())
        self.mcpctl("rollback", "--to", "1.2")
        self.assert_runs("1.2")

    def test_full_jobs_are_counted_by_themselves(self):
        self.daemon.start()
        self.upgrade_to("1.0", mode="--full")
        self.upgrade_to("1.1", mode="--full")
        self.upgrade_to("1.2", "1.3", "1.4", "1.5")
        # The last full job went from 1.0 to 1.1, the last two quick ones from 1.3 over 1.4 to 1.5.
        self.assertEqual(["1.0", "1.1", "1.3", "1.4", "1.5"], self.kept())
        self.assertEqual([2, 5, 6], self.snapshots())
        self.upgrade_to("1.6", mode="--full")
        self.assertEqual(["1.3", "1.4", "1.5", "1.6"], self.kept())

    def test_a_pinned_release_stays_until_it_is_unpinned(self):
        self.daemon.start()
        self.upgrade_to("1.0")
        release = self.release_called("1.0")["release"]
        self.mcpctl("pin", release)
        self.upgrade_to("1.1", "1.2", "1.3", "1.4")
        self.assertEqual(["1.0", "1.2", "1.3", "1.4"], self.kept())
        self.assertTrue(self.release_called("1.0")["pinned"])
        self.assertIn("pinned", self.release_called("1.0")["kept_by"])
        self.mcpctl("unpin", release)
        self.assertFalse(self.release_called("1.0")["pinned"])
        self.upgrade_to("1.5")
        self.assertEqual(["1.3", "1.4", "1.5"], self.kept())

    def test_a_pin_of_something_that_is_not_here_is_refused(self):
        self.daemon.start()
        self.upgrade_to("1.0")
        done = self.sandbox.mcpctl("pin", "9.9")
        self.assertEqual(1, done.status)
        self.assertIn("9.9", done.stderr)

    def test_a_release_that_a_process_runs_from_is_not_removed(self):
        self.repository.release("1.0", behaviour(
            "1.0", f'if [ "$1" = serve ]; then : > "{self.sandbox.root}/serves"; read line; '
                   '. "$here/../lib/version.sh"; echo "still $version"; exit; fi'))
        self.daemon.start()
        self.mcpctl("upgrade")
        with subprocess.Popen([self.sandbox.links / "demo", "serve"], text=True, cwd="/",
                              env=self.sandbox.environment(), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as process:
            wait_for((self.sandbox.root / "serves").exists, "a running process")
            self.upgrade_to("1.1", "1.2", "1.3", "1.4")
            self.assertEqual(["1.0", "1.2", "1.3", "1.4"], self.kept())
            self.assertIn("still runs", self.mcpctl("logs", "5"))
            output, _ = process.communicate("\n", timeout=20)
        self.assertEqual("still 1.0\n", output)
        self.upgrade_to("1.5")
        self.assertEqual(["1.3", "1.4", "1.5"], self.kept())

    def test_records_and_logs_of_older_jobs_go_but_that_of_a_denied_release(self):
        self.sandbox.write_configuration(retention={"quick": 1, "full": 1, "jobs": 3})
        self.daemon.start()
        self.upgrade_to("1.0")
        self.repository.release("1.1", failing("1.1"))
        self.mcpctl("upgrade", status=1)
        self.upgrade_to("1.2", "1.3", "1.4", "1.5")
        self.wait_idle()
        _, [answer] = self.sandbox.mcpctl_json("jobs")
        self.assertEqual([6, 5, 4, 2], [job["job"] for job in answer["jobs"]])
        self.assertIn("demo status", self.mcpctl("logs", "2"))
        self.mcpctl("logs", "1", status=1)

    def test_failed_and_idle_jobs_do_not_push_out_the_way_back(self):
        self.daemon.start()
        self.upgrade_to("1.0", "1.1", "1.2")
        self.repository.release("1.3", behaviour("1.3", "exit 1"))
        for _ in range(3):
            self.wait_idle()
            self.mcpctl("upgrade", "--force", status=1)
        self.repository.git("checkout", "--quiet", "v1.2")
        for _ in range(3):
            self.wait_idle()
            self.mcpctl("upgrade")
        self.assertEqual(["1.0", "1.1", "1.2"], self.kept())
        self.assertEqual([2, 3], self.snapshots())
        self.mcpctl("rollback")
        self.assert_runs("1.1")


if __name__ == "__main__":
    unittest.main()
