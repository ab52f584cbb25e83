"""Daemons that come on demand and leave: when nobody needs them, on SIGTERM, never under a job."""

import json
import os
import signal
import socket
import subprocess
import time
import unittest

from client_fixture import JobTestCase, is_running, serving_pid
from daemon_fixture import SLOWNESS, listing, wait_for

#: Within this a daemon that was asked to stop has finished or undone its job and gone.
STOP_SECONDS = 20


class OnDemand(JobTestCase):
    def daemons(self):
        """The processes that serve this sandbox's state directory, or try to."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    command = file.read().split(b"\0")
            except OSError:
                continue
            if command[0].endswith(b"/mcp-upgraded") and os.fsencode(self.sandbox.state) in command:
                found.append(int(pid))
        return found

    def test_many_clients_at_once_start_one_daemon(self):
        clients = [self.start_mcpctl("status", "--json") for _ in range(8)]
        pids = set()
        for client in clients:
            output, errors = client.communicate(timeout=60)
            self.assertEqual(0, client.returncode, errors)
            pids.add(json.loads(output)["instance"]["pid"])
        self.assertEqual({serving_pid(self.sandbox.state)}, pids)
        wait_for(lambda: set(self.daemons()) == pids, "the end of those that lost")

    def test_it_is_started_although_a_dead_one_left_its_socket(self):
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(self.sandbox.socket))
        self.assertEqual(serving_pid(self.sandbox.state), None)
        self.assertEqual(str(self.sandbox.socket), self.status()["instance"]["socket"])

    def test_a_pending_recovery_is_started_by_a_mere_status(self):
        self.install()
        self.start_gated_upgrade()
        before = self.sandbox.demo("status").stdout
        self.daemon.kill()
        self.assertTrue((self.sandbox.state / "journal").exists())
        self.mcpctl("status")
        self.assertEqual("failed", self.wait_ended(2))
        self.assertEqual(before, self.sandbox.demo("status").stdout)

    def test_it_inherits_nothing_and_sits_nowhere(self):
        self.mcpctl("status")
        pid = serving_pid(self.sandbox.state)
        self.assertEqual("/", os.readlink(f"/proc/{pid}/cwd"))
        self.assertNotEqual(pid, os.getsid(pid), "it can never get a terminal")
        self.assertNotEqual(os.getsid(0), os.getsid(pid))
        self.assertEqual(["/dev/null"] * 2,
                         [os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1)])

    def test_a_second_daemon_is_refused_under_a_running_job(self):
        self.install()
        job = self.start_gated_upgrade()
        second = self.daemon.run()
        self.assertEqual(1, second.status)
        self.assertIn(str(self.daemon.pid), second.stderr)
        self.assertIn(str(self.sandbox.socket), second.stderr)
        self.open_gate()
        self.assertEqual("done", self.wait_ended(job))


class Idle(JobTestCase):
    def test_an_idle_daemon_leaves_and_takes_its_socket_along(self):
        self.sandbox.write_configuration(idle_exit=1)
        self.mcpctl("status")
        pid = serving_pid(self.sandbox.state)
        wait_for(lambda: not is_running(pid), "its leaving")
        self.assertFalse(self.sandbox.socket.exists())
        self.mcpctl("status")

    def test_it_never_leaves_while_a_job_runs(self):
        self.sandbox.write_configuration(idle_exit=1)
        self.daemon.start()
        self.mcpctl("upgrade")
        job = self.start_gated_upgrade()
        with self.assertRaises(subprocess.TimeoutExpired):
            self.daemon.process.wait(2.5)
        self.open_gate()
        self.assertEqual(0, self.daemon.wait())
        self.assertEqual("done", self.wait_ended(job))

    def test_it_never_leaves_while_somebody_watches(self):
        self.sandbox.write_configuration(idle_exit=1)
        self.daemon.start()
        watcher = self.start_mcpctl("watch")
        with self.assertRaises(subprocess.TimeoutExpired):
            self.daemon.process.wait(2.5)
        watcher.kill()
        self.assertEqual(0, self.daemon.wait())


class Terminated(JobTestCase):
    def test_an_idle_daemon_ends_at_once(self):
        self.install()
        begin = time.monotonic()
        self.assertEqual(0, self.daemon.stop())
        self.assertLess(time.monotonic() - begin, 5 * SLOWNESS)
        self.assertFalse(self.sandbox.socket.exists())

    def test_a_job_with_a_hanging_check_is_undone_and_told(self):
        self.install()
        self.hanging_release()
        before = self.everything()
        client = self.start_mcpctl("upgrade")
        self.wait_until_checking()
        grandchild = int((self.marks / "grandchild").read_text())
        self.assertEqual(0, self.daemon.stop(STOP_SECONDS))
        self.assertFalse(is_running(grandchild))
        self.assertFalse((self.sandbox.state / "journal").exists())
        self.assert_same(before, self.everything())
        output, errors = client.communicate(timeout=30)
        self.assertEqual(1, client.returncode, output + errors)
        self.assertIn("the daemon was stopped; everything is as it was", output)
        self.assertEqual("cancelled", self.wait_ended(2))

    def test_a_job_at_its_end_is_finished_or_undone(self):
        self.install()
        for minor in range(1, 6):
            self.repository.release(f"1.{minor}.0")
            job = self.json("upgrade", "--detach")[0]["job"]
            wait_for(lambda: self.has_begun(job), "the job's first step")
            before = json.loads((self.sandbox.state / "state.json").read_text())
            self.assertEqual(0, self.daemon.stop(STOP_SECONDS))
            self.assertFalse((self.sandbox.state / "journal").exists())
            outcome = self.wait_ended(job)
            self.assertIn(outcome, ("done", "cancelled"))
            after = json.loads((self.sandbox.state / "state.json").read_text())
            self.assertEqual(outcome == "done", self.history(before) != self.history(after))
            self.daemon.start()

    def has_begun(self, job):
        record = (self.sandbox.state / "jobs" / str(job) / "job.json").read_text()
        return (self.sandbox.state / "journal").exists() or '"result"' in record

    @staticmethod
    def history(state):
        return state["applications"]["demo"]["history"]

    def test_jobs_that_had_to_wait_are_told_that_their_turn_will_not_come(self):
        self.install()
        first = self.start_gated_upgrade()
        waiting = self.start_mcpctl("check", "--json")
        wait_for(lambda: self.status()["queued"], "the second job")
        self.assertEqual(0, self.daemon.stop(STOP_SECONDS))
        output, errors = waiting.communicate(timeout=30)
        self.assertEqual(1, waiting.returncode, output + errors)
        self.assertEqual("cancelled", self.wait_ended(first))
        self.assertEqual("cancelled", self.wait_ended(first + 1))

    def test_a_second_sigterm_changes_nothing(self):
        self.install()
        before = listing(self.sandbox.home)
        self.start_gated_upgrade()
        self.daemon.signal(signal.SIGTERM)
        self.assertEqual(0, self.daemon.stop(STOP_SECONDS))
        self.assert_same(before, listing(self.sandbox.home))


if __name__ == "__main__":
    unittest.main()
