"""What a state directory gets that cannot be read: status answers and says what to do, changes are
refused, the command on PATH goes on working, and no byte is lost or started afresh over."""

import json
import shutil
import unittest

from unchanged_case import UnchangedCase


class DamagedWhileItRuns(UnchangedCase):
    """Files that are read when they are needed: status tells of them from the first moment."""

    def setUp(self):
        super().setUp()
        self.repository.release("1.1.0")
        self.mcpctl("upgrade")

    def settle(self, file, what):
        """Status names the file, before and behind a restart, until it is removed as it says."""
        for start in (lambda: None, self.daemon.restart):
            start()
            told = self.mcpctl("status", status=1)
            self.assertIn(str(file), told)
            self.assertIn(f"remove {what}", told)

    def test_marks_of_denied_releases_stop_a_rollback_before_it_changes_anything(self):
        file = self.sandbox.state / "apps" / "demo" / "denied.json"
        file.write_text("{broken")
        self.settle(file, "it")
        for arguments in (["rollback", "--dry-run"], ["rollback"], ["upgrade", "--force"]):
            with self.subTest(arguments=arguments):
                done = self.sandbox.mcpctl(*arguments)
                self.assertEqual(1, done.status, done.stdout)
                self.assertIn(str(file), done.stdout + done.stderr)
                self.assertNotIn("switched", done.stdout)
                self.assertEqual("hello from demo 1.1.0\n", self.sandbox.demo().stdout)
        file.unlink()
        self.mcpctl("rollback")
        self.mcpctl("status")

    def test_the_record_of_a_job_is_named_by_status_and_jobs(self):
        file = self.sandbox.state / "jobs" / "1" / "job.json"
        file.write_bytes(b"\xff" + file.read_bytes()[1:])
        self.settle(file, file.parent)
        self.assertIn(f"the record of job 1 cannot be read: {file}", self.mcpctl("jobs"))
        self.mcpctl("rollback")
        shutil.rmtree(file.parent)
        self.mcpctl("status")

    def test_the_last_jobs_log_is_named_where_its_record_is_damaged(self):
        (self.sandbox.state / "jobs" / "2" / "job.json").write_text("")
        done = self.sandbox.mcpctl("logs")
        self.assertEqual(1, done.status)
        self.assertIn("mcpctl logs 2", done.stderr)

    def test_jobs_are_those_of_the_application_named(self):
        self.assertEqual(self.mcpctl("jobs"), self.mcpctl("jobs", "--app", "demo"))
        self.assertIn("no application \"nope\"", self.sandbox.mcpctl("jobs", "--app", "nope").stderr)


class BadState(UnchangedCase):
    def setUp(self):
        super().setUp()
        self.daemon.stop()
        self.file = self.sandbox.state / "state.json"
        self.good = self.file.read_bytes()

    def start_with(self, content):
        self.file.write_bytes(content)
        self.daemon.start()

    def aside(self):
        return sorted(self.sandbox.state.glob("state.json.corrupt-*"))

    def problems(self):
        status = self.sandbox.mcpctl_json("status")[1][0]
        return status["problems"]

    def assert_changes_are_refused(self):
        self.repository.release("1.1.0", tag=False)
        for arguments in (["upgrade"], ["upgrade", "--force"], ["rollback", "--to", "before"],
                          ["hold"]):
            with self.subTest(arguments=arguments):
                done = self.sandbox.mcpctl(*arguments)
                self.assertEqual(1, done.status, done.stdout)
                self.assertIn("state.json", done.stderr)
        self.assertEqual("hello from demo 1.0.0\n", self.sandbox.demo().stdout)

    def test_damaged_state_is_set_aside_named_and_settled_by_a_good_copy(self):
        damage = {"cut off": self.good[:-20], "empty": b"", "zeros": b"\0" * len(self.good),
                  "other": b"[]", "types": self.good.replace(b'"next_job": 2', b'"next_job": "x"')}
        for name, content in damage.items():
            with self.subTest(name):
                try:
                    self.damage_and_settle(content)
                finally:
                    if self.daemon.process:
                        self.daemon.stop()
                    for aside in self.aside():
                        aside.unlink()

    def damage_and_settle(self, content):
        self.start_with(content)
        [aside] = self.aside()
        self.assertEqual(content, aside.read_bytes())
        self.assertIn(str(self.file), self.problems()[0]["what"])
        self.assertIn(aside.name, self.problems()[0]["what"])
        self.assert_changes_are_refused()
        self.daemon.restart()  # it is remembered
        self.assertEqual([aside], self.aside())
        self.assert_changes_are_refused()
        self.daemon.stop()
        aside.unlink()
        self.start_with(self.good)
        self.assertEqual([], self.problems())
        self.mcpctl("upgrade", "--dry-run")

    def test_what_is_wrong_and_what_to_do_are_told_apart(self):
        self.start_with(b"{broken")
        [problem] = self.problems()
        self.assertRegex(problem["remedy"], "^put a good copy in its place, or run 'mcpctl repair'")
        self.assertIn("cannot be read", problem["what"])
        self.assertNotIn("json.exception", problem["what"] + problem["remedy"])

    def test_status_with_a_problem_that_stops_all_changes_exits_6(self):
        self.start_with(b"{broken")
        self.assertIn("PROBLEM", self.mcpctl("status", status=6))

    def test_a_state_that_is_gone_is_made_again_from_the_jobs_and_what_is_lost_is_told(self):
        self.daemon.start()
        self.mcpctl("pin", "1.0.0")
        self.repository.release("1.1.0")
        self.mcpctl("upgrade", "--to", "1.1.0")
        self.daemon.stop()
        self.file.unlink()
        self.daemon.start()
        [problem] = self.problems()
        self.assertIn("pins", problem["what"])
        self.assertIn("mcpctl pin", problem["remedy"])
        self.assertFalse(self.file.exists(), "looking changes nothing")
        self.assertRegex(self.mcpctl("rollback"), r"\[WARNING\].*pins")
        self.assertEqual("hello from demo 1.0.0\n", self.sandbox.demo().stdout)
        self.assertIn("pins", self.problems()[0]["what"])
        self.mcpctl("unhold")
        self.assertEqual([], self.problems())

    def test_nothing_is_removed_or_upgraded_unattended_while_pins_and_pauses_are_lost(self):
        self.daemon.start()
        self.mcpctl("pin", "1.0.0")
        self.mcpctl("hold")
        self.daemon.stop()
        self.file.unlink()
        self.daemon.start()
        for minor in range(1, 9):
            self.repository.release(f"1.{minor}.0")
            self.mcpctl("upgrade")
        self.repository.release("1.9.0")
        self.assertIn("mcpctl unhold", self.mcpctl("upgrade", "--unattended"))
        self.assertEqual("hello from demo 1.8.0\n", self.sandbox.demo().stdout)
        self.mcpctl("rollback", "--to", "1.0.0")
        self.mcpctl("unhold")
        self.mcpctl("upgrade", "--to", "1.9.0")
        self.assertEqual("hello from demo 1.9.0\n", self.sandbox.demo().stdout)

    def test_state_of_a_newer_format_is_left_where_it_is(self):
        newer = json.dumps(json.loads(self.good) | {"format": 99}).encode()
        self.start_with(newer)
        self.assert_changes_are_refused()
        self.assertIn("newer", self.problems()[0]["what"] + self.problems()[0]["remedy"])
        self.assertEqual(newer, self.file.read_bytes())
        self.assertEqual([], self.aside())

    def test_a_file_in_place_of_the_state_directory_is_named_and_left_alone(self):
        away = self.sandbox.root / "away"
        self.sandbox.state.rename(away)
        self.sandbox.state.write_text("precious")
        done = self.daemon.run()
        self.assertEqual(1, done.status)
        self.assertIn(f"{self.sandbox.state} is not a directory", done.stderr)
        done = self.sandbox.mcpctl("status")
        self.assertEqual(5, done.status)
        self.assertIn(f"{self.sandbox.state} is not a directory", done.stderr)
        self.assertEqual("precious", self.sandbox.state.read_text())

    def test_a_socket_path_that_is_too_long_is_named(self):
        long = self.sandbox.root / ("x" * 120)
        self.sandbox.socket = long
        done = self.daemon.run()
        self.assertEqual(1, done.status)
        self.assertIn(str(long), done.stderr)
        self.assertIn("too long", done.stderr)
        self.assertNotIn("serving", done.stderr)


if __name__ == "__main__":
    unittest.main()
