"""The log of a job is the same lines live and at any time after; parts of it can be asked for."""

import json
import re
import subprocess
import unittest

from daemon_fixture import MCPCTL, wait_for
from unchanged_case import UnchangedCase

LINE = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] \[(DEBUG|INFO|SUCCESS|WARNING|ERROR)\] .*")

#: A program whose `status` waits until a file appears, so that a job can be met while it runs.
WAITING = """#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/version.sh"
case "${1-}" in
  --help) echo "usage: demo" ;;
  status) while [ ! -e "GATE" ]; do sleep 0.05; done; echo "demo $version: well" ;;
  *) echo "hello from demo $version" ;;
esac
"""


class JobLogs(UnchangedCase):
    def log_lines(self, text):
        return [line for line in text.splitlines() if LINE.fullmatch(line)]

    def events(self, *arguments):
        status, lines = self.sandbox.mcpctl_json("logs", *arguments)
        self.assertEqual(0, status)
        return [line["event"] for line in lines if "event" in line]

    def test_logs_shows_the_same_lines_as_the_live_run(self):
        self.repository.release("1.1.0")
        live = self.mcpctl("upgrade", "--full")
        self.assertEqual(live.splitlines(), self.log_lines(live))
        self.assertEqual(live, self.mcpctl("logs", "2"))
        self.assertEqual(live, self.mcpctl("logs"))
        self.assertEqual(live, self.mcpctl("watch", "2"))
        self.daemon.restart()
        self.assertEqual(live, self.mcpctl("logs", "2"))

    def test_logs_of_a_failed_job_show_the_same_lines_too(self):
        self.repository.release("1.1.0", {"bin/demo": "#!/bin/sh\nexit 3\n"})
        done = self.sandbox.mcpctl("upgrade")
        self.assertEqual(1, done.status)
        logs = self.mcpctl("logs", "2")
        self.assertEqual(self.log_lines(done.stdout + done.stderr), self.log_lines(logs))
        self.assertIn("[ERROR]", logs)
        self.mcpctl("watch", "2", status=1)

    def test_verbose_shows_debug_lines_and_quiet_the_worst_and_the_result(self):
        self.assertNotIn("[DEBUG]", self.mcpctl("logs", "1"))
        verbose = self.mcpctl("logs", "1", "--verbose")
        self.assertIn("[DEBUG] preflight", verbose)
        self.assertEqual(verbose, self.mcpctl("logs", "1", "--level", "debug"))
        quiet = self.mcpctl("logs", "1", "--quiet")
        self.assertNotIn("[INFO]", quiet)
        self.assertIn("installed 1.0.0-", quiet)

    def test_level_leaves_out_what_is_below_it(self):
        self.repository.release("1.1.0")
        self.repository.write("lib/version.sh", "version=edited\n")
        self.mcpctl("upgrade")
        tiers = lambda *arguments: {event["tier"] for event in self.events("2", *arguments)}
        self.assertEqual({"DEBUG", "INFO", "WARNING", "SUCCESS"}, tiers())
        self.assertEqual({"DEBUG", "INFO", "WARNING", "SUCCESS"}, tiers("--level", "debug"))
        self.assertEqual({"INFO", "WARNING", "SUCCESS"}, tiers("--level", "INFO"))
        self.assertEqual({"WARNING", "SUCCESS"}, tiers("--level", "success"))
        self.assertEqual({"WARNING"}, tiers("--level", "warning"))
        self.assertEqual(set(), tiers("--level", "error"))
        text = self.mcpctl("logs", "2", "--level", "warning")
        self.assertEqual(1, len(text.splitlines()))
        self.assertIn("lib/version.sh", text)

    def test_after_leaves_out_what_is_already_known(self):
        events = self.events("1")
        self.assertEqual(list(range(1, len(events) + 1)), [event["number"] for event in events])
        self.assertEqual(events[10:], self.events("1", "--after", "10"))
        self.assertEqual(events, self.events("1", "--after", "0"))
        self.assertEqual([], self.events("1", "--after", str(len(events))))
        self.assertEqual([], self.events("1", "--after", "1000000"))

    def test_damage_in_a_log_is_told_and_what_lies_behind_it_is_shown(self):
        for _ in range(3):  # of the last ones the next start looks after
            self.mcpctl("check")
        events, file = self.events("1"), self.sandbox.state / "jobs" / "1" / "events.ndjson"
        self.daemon.stop()
        lines = file.read_bytes().split(b"\n")
        lines[1] = b"\xff" * 40 + lines[1][40:]
        file.write_bytes(b"\n".join(lines))
        self.daemon.start()
        found = self.events("1")
        self.assertEqual(events[2:], found[2:])
        self.assertEqual(("log.damaged", 2), (found[1]["id"], found[1]["number"]))
        self.assertIn(str(file), self.mcpctl("logs", "1"))
        self.daemon.stop()
        file.write_bytes(b"\n".join(lines[:6]))
        self.daemon.start()
        self.assertIn("the rest of this log is lost", self.mcpctl("logs", "1"))

    def test_events_are_numbered_timed_in_utc_and_end_with_the_last(self):
        events = self.events("1")
        for event in events:
            self.assertRegex(event["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
            self.assertTrue(event["id"] and event["phase"])
        self.assertEqual(sorted(event["time"] for event in events),
                         [event["time"] for event in events])
        self.assertEqual([events[-1]["number"]],
                         [event["number"] for event in events if event.get("last")])
        file = self.sandbox.state / "jobs" / "1" / "events.ndjson"
        self.assertEqual(events, [json.loads(line) for line in file.read_text().splitlines()])

    def test_follow_goes_on_until_the_job_has_ended(self):
        gate = self.sandbox.root / "gate"
        self.repository.release("1.1.0", {"bin/demo": WAITING.replace("GATE", str(gate))})
        self.assertIn("2", self.mcpctl("upgrade", "--detach"))
        follower = self.follow("logs", "2", "--follow")
        watcher = self.follow("watch")
        wait_for(lambda: (self.sandbox.mcpctl_json("status")[1][0].get("running") or {})
                 .get("phase") == "mid-check", "the check")
        so_far = self.mcpctl("logs", "2")
        self.assertNotIn("upgraded to", so_far)
        self.assertIsNone(follower.poll())
        gate.touch()
        followed = follower.communicate(timeout=20)[0]
        watched = watcher.communicate(timeout=20)[0]
        self.assertEqual((0, 0), (follower.returncode, watcher.returncode))
        self.assertTrue(followed.startswith(so_far), (so_far, followed))
        self.assertIn("upgraded to 1.1.0-", followed)
        self.assertEqual(followed, self.mcpctl("logs", "2"))
        self.assertTrue(followed.endswith(watched), (followed, watched))

    def follow(self, *arguments):
        process = subprocess.Popen([MCPCTL, *arguments, *self.sandbox.instance_arguments()],
                                   env=self.sandbox.environment(), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        return process

    def test_logs_0_shows_what_happened_outside_of_jobs(self):
        self.daemon.restart()
        self.assertEqual("", self.mcpctl("logs", "0"))
        self.assertTrue(all(event["job"] == 0 for event in self.events("0")))

    def test_plain_output_has_no_colours_and_colour_can_be_asked_for(self):
        self.assertNotIn("\033", self.mcpctl("logs", "1"))
        coloured = self.mcpctl("logs", "1", "--color", "always")
        self.assertIn("\033[", coloured)
        self.assertEqual(self.mcpctl("logs", "1"), re.sub("\033\\[[0-9;]*m", "", coloured))


if __name__ == "__main__":
    unittest.main()
