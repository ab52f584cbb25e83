#!/usr/bin/env python3
"""Checks as their users see them: what fails an upgrade and what only warns, and what a release may
print while it is checked."""

import unittest

from daemon_fixture import SANITIZED
from job_fixture import JobTestCase, failing


class Judgement(JobTestCase):
    def assert_denied(self, version, denied=True):
        """Whether a plain upgrade refuses this version now."""
        status, lines = self.sandbox.mcpctl_json("upgrade")
        self.assertEqual(1, status, lines)
        texts = " ".join(line["event"]["text"] for line in lines if "event" in line)
        self.assertEqual(denied, "failed its check" in texts, texts)
        self.assertIn(version, texts)

    def test_a_check_that_passed_before_and_fails_now_denies_the_release(self):
        self.install_first_release()
        self.repository.release("1.1", failing("1.1"))
        printed = self.mcpctl("upgrade", status=1)
        self.assertRegex(printed, r"\[ERROR\] check demo status passed with the old release and "
                                  "fails with the new one: exit code 7")
        self.assert_runs("1.0")
        self.assert_denied("1.1")

    def test_a_check_that_failed_before_too_only_warns(self):
        broken = self.sandbox.root / "broken"
        for version in ("1.0", "1.1"):
            code = f'[ ! -e "{broken}" ] || exit 7'
            self.repository.release(version, failing(version, code=code))
        self.repository.git("checkout", "--quiet", "v1.0")
        self.daemon.start()
        self.mcpctl("upgrade")
        broken.touch()
        self.repository.git("checkout", "--quiet", "main")
        printed = self.mcpctl("upgrade")
        self.assertRegex(printed, r"\[WARNING\] check demo status failed before this upgrade too: "
                                  "exit code 7")
        broken.unlink()
        self.assert_runs("1.1")

    def test_a_check_that_fails_in_another_way_than_before_is_worse_than_before(self):
        broken = self.sandbox.root / "broken"
        self.repository.release("1.0", failing("1.0", code=f'[ ! -e "{broken}" ] || exit 7'))
        self.daemon.start()
        self.mcpctl("upgrade")
        broken.touch()
        self.repository.release("1.1", failing("1.1", code="echo MIXED; exit 99"))
        self.mcpctl("upgrade", status=1)
        broken.unlink()
        self.assert_runs("1.0")

    def test_a_check_that_passes_when_it_is_repeated_is_no_failure(self):
        self.install_first_release()
        once = self.sandbox.root / "once"
        self.repository.release("1.1", failing(
            "1.1", code=f'[ -e "{once}" ] || {{ : > "{once}"; exit 7; }}'))
        printed = self.mcpctl("upgrade")
        self.assertIn("check demo status failed; trying it once more", printed)
        self.assert_runs("1.1")

    def test_a_first_installation_needs_its_essential_check_only(self):
        self.repository.release("1.0", failing("1.0"))
        self.daemon.start()
        printed = self.mcpctl("upgrade", "--full")
        self.assertRegex(printed, r"\[WARNING\] check demo status: exit code 7")
        self.assertEqual(0, self.sandbox.demo("--help").status)

    def test_a_first_installation_that_does_not_even_start_is_undone_but_not_denied(self):
        self.repository.release("1.0", failing("1.0", "--help"))
        self.daemon.start()
        self.mcpctl("upgrade", status=1)
        self.assertFalse((self.sandbox.links / "demo").is_symlink())
        self.assert_denied("1.0", denied=False)

    def test_an_essential_check_that_failed_before_too_fails_the_upgrade_but_denies_nothing(self):
        broken = self.sandbox.root / "broken"
        code = f'[ ! -e "{broken}" ] || exit 7'
        self.repository.release("1.0", failing("1.0", "--help", code))
        self.daemon.start()
        self.mcpctl("upgrade")
        broken.touch()
        self.repository.release("1.1", failing("1.1", "--help", code))
        self.mcpctl("upgrade", status=1)
        self.assert_denied("1.1", denied=False)
        broken.unlink()
        self.mcpctl("upgrade")
        self.assert_runs("1.1")

    def test_a_check_that_runs_out_of_time_fails_the_upgrade_but_denies_nothing(self):
        self.sandbox.write_configuration({"checks": [
            {"arguments": ["--help"], "essential": True},
            {"arguments": ["status"], "deadline_seconds": 1}]})
        self.install_first_release()
        slow = self.sandbox.root / "slow"
        slow.touch()
        self.repository.release("1.1", failing(
            "1.1", code=f'while [ -e "{slow}" ]; do sleep 0.05; done'))
        self.mcpctl("upgrade", status=1)
        self.assert_runs("1.0")
        slow.unlink()
        self.mcpctl("upgrade", "--unattended")
        self.assert_runs("1.1")


class Output(JobTestCase):
    def setUp(self):
        super().setUp()
        self.install_first_release()

    def fail_printing(self, code):
        """The events of an upgrade whose status check prints something and fails."""
        self.repository.release("1.1", failing("1.1", code=f"{code}; exit 7"))
        status, lines = self.sandbox.mcpctl_json("upgrade")
        self.assertEqual(1, status)
        self.assert_runs("1.0")
        return [line["event"] for line in lines if "event" in line]

    def outputs(self):
        status, lines = self.sandbox.mcpctl_json("logs", "2")
        self.assertEqual(0, status)
        return [line["event"]["fields"]["output"] for line in lines
                if line.get("event", {}).get("id") == "check.output"]

    def test_a_forbidden_text_fails_a_check_that_exits_with_0(self):
        code = "printf MI; sleep 0.1; echo XED; exit 0"
        self.repository.release("1.1", failing("1.1", code=code))
        printed = self.mcpctl("upgrade", status=1)
        self.assertRegex(printed, r"check demo status passed with the old release .*MIXED")
        self.assert_runs("1.0")

    def test_on_the_standard_error_output_too(self):
        self.repository.release("1.1", failing("1.1", code="echo MIXED >&2; exit 0"))
        self.mcpctl("upgrade", status=1)

    def test_gbk_cut_inside_a_character_is_shown_as_far_as_it_goes(self):
        events = self.fail_printing(r"printf 'before \304\343\272\303\304'")
        self.assertEqual("check.regression", next(
            event["id"] for event in events if event["tier"] == "ERROR"))
        self.assertTrue(self.outputs())
        for output in self.outputs():
            self.assertTrue(output.startswith("before "), output)
            self.assertIn("\ufffd", output)

    def test_control_characters_and_a_zero_byte_reach_no_terminal(self):
        self.fail_printing(r"printf 'a\033[2J\000\rb\n'")
        done = self.sandbox.mcpctl("logs", "2", "--level", "DEBUG")
        self.assertEqual(0, done.status)
        self.assertIn("a", self.outputs()[0])
        for character in ("\033", "\0", "\r"):
            self.assertNotIn(character, done.stdout)

    def test_a_flood_of_output_is_cut_in_the_middle_and_fills_nothing(self):
        peak = self.daemon.memory_kilobytes()
        self.fail_printing("echo first; yes 0123456789abcdef | head -c 20000000; echo last")
        for output in self.outputs():
            self.assertLessEqual(len(output), 70_000)
            self.assertTrue(output.startswith("first\n"))
            self.assertTrue(output.rstrip().endswith("last"))
            self.assertIn("bytes left out", output)
        log = self.sandbox.state / "jobs" / "2" / "events.ndjson"
        self.assertLess(log.stat().st_size, 1 << 20)
        if not SANITIZED:
            self.assertLess(self.daemon.memory_kilobytes() - peak, 10_000)

    def test_a_grandchild_that_leaves_its_session_does_not_outlive_the_check(self):
        pid = self.sandbox.root / "pid"
        self.fail_printing(f'setsid sh -c \'echo $$ > "{pid}"; exec sleep 300\' & '
                           f'until [ -s "{pid}" ]; do sleep 0.01; done')
        process = pid.read_text().strip()
        try:
            with open(f"/proc/{process}/stat", encoding="ascii") as stat:
                self.assertIn(") Z", stat.read())
        except FileNotFoundError:
            pass


if __name__ == "__main__":
    unittest.main()
