"""A recovery that cannot finish yet does the rest, says what is missing, refuses changes, and ends
when what was missing is back."""

import json
import os
import unittest

from client_fixture import end_serving
from crash_fixture import Machine
from daemon_fixture import DaemonTestCase, wait_for

POST_CHECK = 4


class Pending(DaemonTestCase):
    def setUp(self):
        self.machine = Machine()
        self.addCleanup(self.machine.close)
        self.sandbox = self.machine.sandbox
        self.daemon = self.sandbox.daemon
        self.state = self.sandbox.state
        self.settings = self.sandbox.settings_file
        self.machine.release(1)
        self.machine.mcpctl("upgrade")
        self.machine.release(2)

    def kill_in_post_check(self):
        """Kills an upgrade to 1.2.0 when the new release has changed the settings; its job."""
        hold = self.sandbox.home / ".hold"
        hold.touch()
        job = json.loads(self.machine.mcpctl("upgrade", "--detach", "--json"))["job"]
        wait_for(lambda: not (self.settings.parent / "extra.json").exists(), "the release's change")
        end_serving(self.state)
        hold.unlink()
        self.assertEqual((POST_CHECK + 1, False), self.machine.journal())
        return job

    def current(self):
        return os.readlink(self.state / "apps" / "demo" / "current").rsplit("/", 1)[1]

    def wait_until_tried(self, job):
        wait_for(lambda: self.machine.at_event(b"undo.pending")(job), "the first attempt")

    def assert_pending(self, named):
        """Reading answers and names what is missing; changes are refused."""
        problems = wait_for(lambda: self.sandbox.mcpctl_json("status")[1][0]["problems"],
                            "a problem")
        self.assertIn(named, json.dumps(problems))
        self.assertTrue(all(problem["remedy"] for problem in problems), problems)
        for command in (["upgrade"], ["rollback"], ["hold"]):
            refused = self.sandbox.mcpctl(*command)
            self.assertEqual(1, refused.status, f"{command}: {refused}")
            self.assertIn(named, refused.stderr)

    def assert_recovered(self, job):
        wait_for(lambda: not (self.state / "journal").exists(), "the journal's end")
        self.assertEqual(self.machine.view_of(1), self.machine.view())
        self.assertEqual([], self.machine.left_over())
        events = self.machine.events(job)
        self.assertEqual(list(range(1, len(events) + 1)), [event["number"] for event in events])
        self.assertEqual([len(events)],
                         [event["number"] for event in events if event.get("last")])
        self.assertEqual("failed", self.machine.job(job)["outcome"])
        self.machine.mcpctl("upgrade")
        self.assertEqual(self.machine.view_of(2), self.machine.view())

    def test_a_home_that_is_away_holds_back_only_what_lies_in_it(self):
        job = self.kill_in_post_check()
        away = self.sandbox.root / "away"
        self.sandbox.home.rename(away)
        self.daemon.start()
        self.wait_until_tried(job)
        try:
            self.assert_pending(str(self.sandbox.home))
            # The release is the old one again for everybody else.
            wait_for(lambda: self.current().startswith("1.1.0-"), "the rest of the undo", 5)
        finally:
            away.rename(self.sandbox.home)
        self.daemon.restart()
        self.assert_recovered(job)

    def test_somebody_who_watches_a_recovery_that_is_pending_gets_exit_code_6(self):
        job = self.kill_in_post_check()
        away = self.sandbox.root / "away"
        self.sandbox.home.rename(away)
        self.daemon.start()
        self.wait_until_tried(job)
        self.addCleanup(away.rename, self.sandbox.home)
        self.assertEqual(6, self.sandbox.mcpctl("watch", str(job), seconds=20).status)

    def test_a_file_that_cannot_be_put_back_is_named_until_it_can(self):
        job = self.kill_in_post_check()
        directory, away = self.settings.parent, self.sandbox.root / "away"
        directory.rename(away)
        directory.write_text("somebody's file where the directory was\n")
        self.daemon.start()
        self.wait_until_tried(job)
        self.assert_pending(".demo")
        self.assertTrue(self.current().startswith("1.1.0-"))
        directory.unlink()
        away.rename(directory)
        self.daemon.restart()
        self.assert_recovered(job)

    def test_a_lost_link_is_no_lost_installation(self):
        self.machine.mcpctl("upgrade")
        self.machine.link.unlink()
        code, [answer] = self.sandbox.mcpctl_json("status")
        status = answer["applications"][0]
        self.assertEqual(1, code)
        self.assertEqual("absent", status["entry_points"][0]["state"])
        self.assertEqual("1.2.0", status["current"]["version"])
        self.machine.mcpctl("upgrade")
        self.assertEqual(self.machine.view_of(2), self.machine.view())
        self.machine.mcpctl("rollback")
        self.assertEqual(self.machine.view_of(1), self.machine.view())


if __name__ == "__main__":
    unittest.main()
