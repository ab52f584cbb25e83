"""Jobs as those who ask for them see them: the queue, waiting, joining, cancelling, and clients
that go away."""

import signal
import time
import unittest

from client_fixture import JobTestCase, is_running
from crash_fixture import journal_of
from daemon_fixture import SLOWNESS, wait_for


class Queue(JobTestCase):
    def test_a_job_waits_behind_another_and_is_told_its_position(self):
        self.install()
        first = self.start_gated_upgrade()
        second = self.json("check", "--detach")[0]
        self.assertEqual(("queued", 1), (second["disposition"], second["position"]))
        third = self.json("upgrade", "--full", "--detach")[0]
        self.assertEqual(("queued", 2), (third["disposition"], third["position"]))
        status = self.status()
        self.assertEqual((first, "mid-check"),
                         (status["running"]["job"], status["running"]["phase"]))
        self.assertEqual([(second["job"], 1), (third["job"], 2)],
                         [(job["job"], job["position"]) for job in status["queued"]])
        self.open_gate()
        self.assertEqual(["done", "done", "nothing_to_do"],
                         [self.wait_ended(job) for job in (first, second["job"], third["job"])])

    def test_a_job_whose_waiting_time_ends_is_told_who_has_the_turn(self):
        self.install()
        first = self.start_gated_upgrade()
        lines = self.json("check", "--wait", "1", status=3)
        busy = lines[-1]
        self.assertEqual("Busy", busy["error"].rsplit(".", 1)[-1], busy)
        owner = self.job(first)["owner"]
        self.assertEqual((first, owner, "mid-check"),
                         (busy["job"], busy["owner"], busy["phase"]))
        self.assertTrue(busy["since"])
        self.assertNotIn(busy["since"], busy["message"])
        self.assertEqual("expired", self.job(first + 1)["outcome"])
        self.open_gate()
        self.assertEqual("done", self.wait_ended(first))

    def test_no_wait_is_answered_at_once_and_makes_no_job(self):
        self.install()
        first = self.start_gated_upgrade()
        done = self.sandbox.mcpctl("check", "--no-wait")
        self.assertEqual(3, done.status, done)
        self.assertIn(f"job {first}", done.stderr)
        self.assertIn("mid-check", done.stderr)
        self.assertRegex(done.stderr, r"under way since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")
        self.assertEqual([first, first - 1],
                         [job["job"] for job in self.json("jobs")[0]["jobs"]])
        self.open_gate()
        self.assertEqual("done", self.wait_ended(first))

    def test_the_same_work_joins_and_sees_every_event(self):
        self.install()
        first = self.start_gated_upgrade()
        joined = self.start_mcpctl("upgrade", "--json")
        self.assertEqual("joined", self.json("upgrade", "--detach")[0]["disposition"])
        self.open_gate()
        output, errors = joined.communicate(timeout=60)
        self.assertEqual(0, joined.returncode, errors)
        self.assertIn(f'"disposition":"joined","job":{first}', output)
        self.assertIn('"number":1,', output)
        self.assertEqual([first, first - 1],
                         [job["job"] for job in self.json("jobs")[0]["jobs"]])

    def test_a_request_id_is_one_job_also_after_its_end_and_a_restart(self):
        self.install()
        self.gated_release()
        with self.peer() as peer:
            first = peer.call("Upgrade", request_id="the-one")["parameters"]
            self.wait_until_checking()
            again = peer.call("Upgrade", request_id="the-one")["parameters"]
            self.assertEqual((first["job"], "joined"), (again["job"], again["disposition"]))
            self.open_gate()
            self.wait_ended(first["job"])
        self.daemon.restart()
        self.gated_release("1.2.0")
        with self.peer() as peer:
            replies = [reply["parameters"]
                       for reply in peer.stream("Upgrade", request_id="the-one")]
        self.assertEqual({first["job"]}, {reply["job"] for reply in replies})
        self.assertEqual("joined", replies[0]["disposition"])
        self.assertEqual("done", replies[-1]["result"]["outcome"])
        self.assertEqual(list(range(1, len(replies) - 1)),
                         [reply["event"]["number"] for reply in replies[1:-1]])

    def test_detach_returns_before_the_job_has_ended(self):
        self.install()
        job = self.start_gated_upgrade()
        self.assertEqual("running", self.job(job)["state"])
        self.open_gate()
        self.assertEqual("done", self.wait_ended(job))


class Cancel(JobTestCase):
    def test_a_hanging_check_is_cancelled_within_a_second_and_nothing_changed(self):
        self.install()
        self.hanging_release()
        before = self.everything()
        client = self.start_mcpctl("upgrade")
        self.wait_until_checking()
        grandchild = int((self.marks / "grandchild").read_text())
        self.assertTrue(is_running(grandchild))
        begin = time.monotonic()
        self.mcpctl("cancel")
        output, errors = client.communicate(timeout=60)
        took = time.monotonic() - begin
        self.assertEqual(1, client.returncode, output + errors)
        self.assertFalse(is_running(grandchild), "no process of a step outlives it")
        self.assertLess(took, 1 * SLOWNESS)
        self.assertEqual("cancelled", self.wait_ended(2))
        self.assert_same(before, self.everything())
        self.assertEqual("demo 1.0.0: well\n", self.sandbox.demo("status").stdout)

    def test_a_cancelled_release_is_not_denied(self):
        self.install()
        job = self.start_gated_upgrade()
        self.mcpctl("cancel", str(job))
        self.assertEqual("cancelled", self.wait_ended(job))
        self.open_gate()
        self.mcpctl("upgrade")
        self.assertEqual("demo 1.1.0: well\n", self.sandbox.demo("status").stdout)

    def test_a_queued_job_is_cancelled_before_its_turn(self):
        self.install()
        first = self.start_gated_upgrade()
        second = self.start_mcpctl("check")
        wait_for(lambda: self.status()["queued"], "the second job")
        self.assertEqual("cancelled", self.json("cancel", str(first + 1))[0]["state"])
        _, errors = second.communicate(timeout=20)
        self.assertEqual(1, second.returncode, errors)
        self.assertEqual("running", self.job(first)["state"])
        self.open_gate()
        self.assertEqual("done", self.wait_ended(first))
        self.assertEqual("cancelled", self.job(first + 1)["outcome"])

    def test_a_committed_job_answers_too_late(self):
        self.install()
        for minor in range(1, 9):
            self.repository.release(f"1.{minor}.0")
            with self.peer() as peer:
                job = peer.call("Upgrade")["parameters"]["job"]
                if not self.stop_at_commit(job):
                    self.wait_ended(job)
                    continue
                peer.send("Cancel", job=job)
                self.daemon.signal(signal.SIGCONT)
                reply = peer.receive()
            self.assertEqual("done", self.wait_ended(job))
            if "error" not in reply:  # else it had ended when it was read
                self.assertEqual("committed", reply["parameters"]["state"])
                self.assertIn(f"too late, job {job} is committed", reply["parameters"]["message"])
                return
        self.fail("no cancel came between commit and end")

    def stop_at_commit(self, job):
        """Stops the daemon just behind its commit record; false when the job has ended."""
        record = self.sandbox.state / "jobs" / str(job) / "job.json"
        while not journal_of(self.sandbox.state)[1]:
            if b'"result"' in record.read_bytes():
                return False
            time.sleep(0)
        self.daemon.signal(signal.SIGSTOP)
        return True

    def test_there_is_nothing_to_cancel_when_no_job_runs(self):
        self.install()
        done = self.sandbox.mcpctl("cancel")
        self.assertEqual(1, done.status)
        self.assertIn("no job is running", done.stderr)


class Clients(JobTestCase):
    def test_ctrl_c_leaves_the_job_running_and_says_how_to_go_on(self):
        self.install()
        self.gated_release()
        client = self.start_mcpctl("upgrade")
        self.wait_until_checking()
        job = self.status()["running"]["job"]
        client.send_signal(signal.SIGINT)
        output, errors = client.communicate(timeout=20)
        self.assertEqual(130, client.returncode, output + errors)
        self.assertIn(f"watch {job}", errors)
        self.assertIn(f"cancel {job}", errors)
        self.assertEqual("running", self.job(job)["state"])
        self.open_gate()
        self.assertEqual("done", self.wait_ended(job))

    def test_a_killed_client_does_not_end_its_job(self):
        self.install()
        self.gated_release()
        client = self.start_mcpctl("upgrade")
        self.wait_until_checking()
        client.kill()
        client.communicate()
        self.open_gate()
        self.assertEqual("done", self.wait_ended(2))

    def test_a_killed_client_does_not_take_its_queued_job_along(self):
        self.install()
        first = self.start_gated_upgrade()
        client = self.start_mcpctl("check")
        wait_for(lambda: self.status()["queued"], "the second job")
        client.kill()
        client.communicate()
        self.open_gate()
        self.assertEqual("done", self.wait_ended(first))
        self.assertEqual("done", self.wait_ended(first + 1))

    def test_watchers_that_read_nothing_delay_nobody(self):
        self.install()
        stalled = [self.peer() for _ in range(5)]
        try:
            for peer in stalled:
                for _ in range(100):  # replies enough to fill every buffer between us
                    peer.send("Watch", more=True, job=1)
                peer.send("Watch", more=True, follow=True)
            self.repository.release("1.1.0")
            watcher = self.start_mcpctl("watch", "--json")
            self.mcpctl("upgrade", seconds=20)
            output, errors = watcher.communicate(timeout=20)
            self.assertEqual(0, watcher.returncode, errors)
            self.assertIn('"outcome":"done"', output)
            # They get everything when they read at last.
            job_one = [stalled[0].receive() for _ in range(5)]
            self.assertEqual([1, 2, 3, 4, 5],
                             [reply["parameters"]["event"]["number"] for reply in job_one])
        finally:
            for peer in stalled:
                peer.socket.close()


if __name__ == "__main__":
    unittest.main()
