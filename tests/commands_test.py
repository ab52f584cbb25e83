"""Every command of mcpctl as a person and as a program meets it: text and JSON lines, help,
misspelt options, the dry run, and several applications."""

import json
import re
import shlex
import subprocess
import unittest

from daemon_fixture import MCPCTL, DaemonTestCase, listing
from unchanged_case import UnchangedCase, stored_state

COMMANDS = ["upgrade", "rollback", "check", "cancel", "pin", "unpin", "hold", "unhold", "status",
            "watch", "logs", "jobs", "releases", "config show", "config validate", "config"]


class WithoutDaemon(DaemonTestCase):
    def test_help_of_every_command_exits_0_and_starts_nothing(self):
        before = listing(self.sandbox.root)
        for command in ["", "help", *COMMANDS]:
            words = command.split()
            for arguments in ([*words, "--help"], ["--help", *words], ["help", *words]):
                with self.subTest(arguments=arguments):
                    done = self.sandbox.mcpctl(*arguments)
                    self.assertEqual((0, ""), (done.status, done.stderr))
                    self.assertIn("Usage: mcpctl", done.stdout)
                    self.assertTrue(all(len(line) <= 100 for line in done.stdout.splitlines()))
        self.assertEqual(0, self.sandbox.mcpctl("--version").status)
        self.assert_same(before, listing(self.sandbox.root))

    def test_help_beside_other_options_does_nothing_else(self):
        before = listing(self.sandbox.root)
        self.assertEqual(0, self.sandbox.mcpctl("upgrade", "--full", "--force", "--help").status)
        self.assertEqual(0, self.sandbox.mcpctl("rollback", "--to", "before", "--help").status)
        self.assert_same(before, listing(self.sandbox.root))

    def test_without_a_source_there_is_nothing_to_do_unattended(self):
        self.sandbox.write_configuration({"source": ""})
        self.daemon.start()
        for options, status in (["--unattended"], 0), ([], 1):
            done = self.sandbox.mcpctl("upgrade", *options)
            self.assertEqual(status, done.status, done)
            self.assertIn("no source is known", done.stderr)
        status, lines = self.sandbox.mcpctl_json("upgrade", "--unattended")
        self.assertEqual((0, "nothing_to_do"), (status, lines[-1]["result"]["outcome"]))

    def test_misspelt_words_exit_2_name_the_nearest_and_change_nothing(self):
        cases = [(["upgrade", "--ful"], "--full"), (["upgrade", "--dryrun"], "--dry-run"),
                 (["rollback", "--config=never"], "config"), (["upgarde"], "upgrade"),
                 (["config", "sow"], "show"), (["status", "--verfy"], "--verify"),
                 (["logs", "--folow"], "--follow"), ([], "command"), (["config"], "show"),
                 (["check", "now"], "now"), (["logs", "first"], "first"), (["logs", "-1"], "-1"),
                 (["upgrade", "--wait", "-3"], "--wait"), (["upgrade", "--wait"], "--wait"),
                 (["upgrade", "--quick", "--full"], "--"), (["pin"], "RELEASE"),
                 (["upgrade", "--worktree", "--to", "v1"], "--"), (["upgrade", "--to", ""], "--to"),
                 (["upgrade", "--wait", "3", "--no-wait"], "--"),
                 (["logs", "--level", "loud"], "loud"),
                 (["rollback", "--configs", "some"], "some"),
                 (["status", "--user", "--system"], "--")]
        before = listing(self.sandbox.root)
        for arguments, words in cases:
            with self.subTest(arguments=arguments):
                done = self.sandbox.mcpctl(*arguments)
                self.assertEqual((2, ""), (done.status, done.stdout))
                self.assertIn(words, done.stderr)
                self.assertIn("--help", done.stderr)
                status, lines = self.sandbox.mcpctl_json(*arguments)
                self.assertEqual((2, 1), (status, len(lines)))
                self.assertIn(words, lines[0]["message"])
        self.assert_same(before, listing(self.sandbox.root))

    def test_a_relative_path_in_a_directory_that_is_gone_is_named(self):
        for words in (["upgrade", "--from", "./x"], ["status", "--user", "--state-dir", "y"]):
            with self.subTest(words):
                gone = self.sandbox.root / "gone"
                gone.mkdir()
                script = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
                done = subprocess.run(["sh", "-c", script, "sh", gone, MCPCTL, *words], text=True,
                                      env=self.sandbox.environment(), capture_output=True,
                                      stdin=subprocess.DEVNULL, check=False)
                self.assertEqual(2, done.returncode, done.stderr)
                self.assertIn(f"mcpctl: {words[-1]} is relative", done.stderr)
                self.assertIn("absolute path", done.stderr)

    def test_commands_in_messages_can_be_pasted_into_a_shell(self):
        self.repository.release("1.0.0")
        self.daemon.start()
        [named] = re.findall("'(mcpctl [^']*)'", self.mcpctl("check", status=1))
        pasted = shlex.split(named)
        self.assertEqual(["mcpctl", "upgrade", *self.sandbox.instance_arguments()], pasted)
        subprocess.run([MCPCTL, *pasted[1:]], env=self.sandbox.environment(), check=True,
                       stdin=subprocess.DEVNULL, capture_output=True)
        [error] = self.sandbox.mcpctl_json("rollback")[1]
        self.assertNotIn("--socket", error["message"])

    def test_status_on_a_fresh_machine_says_what_to_do(self):
        self.repository.release("1.0.0")
        self.daemon.start()
        text = self.mcpctl("status")
        self.assertIn("nothing installed yet", text)
        self.assertIn("upgrade", text)
        self.assertEqual([], json.loads(self.mcpctl("releases", "--json"))["releases"])
        self.assertEqual([], json.loads(self.mcpctl("jobs", "--json"))["jobs"])
        self.mcpctl("jobs")
        self.mcpctl("releases")
        self.assertIn("no job", self.sandbox.mcpctl("logs").stderr)


class Commands(UnchangedCase):
    def json(self, *arguments, status=0):
        """The one object that a command answers with."""
        code, lines = self.sandbox.mcpctl_json(*arguments)
        self.assertEqual((status, 1), (code, len(lines)), lines)
        return lines[0]

    def stream(self, *arguments, status=0):
        """The events and the result of a job's command."""
        code, lines = self.sandbox.mcpctl_json(*arguments)
        self.assertEqual(status, code, lines)
        events = [line["event"] for line in lines if "event" in line]
        numbers = [event["number"] for event in events]
        self.assertEqual(list(range(1, len(numbers) + 1)), numbers)
        self.assertTrue(events[-1]["last"])
        self.assertIn("result", lines[-1])
        return lines, events, lines[-1]["result"]

    def current(self):
        return self.json("status")["applications"][0]["current"]["release"]

    def test_every_job_command_speaks_json_lines(self):
        self.repository.release("1.1.0")
        for arguments, outcome in ((["upgrade"], "done"), (["rollback"], "done"),
                                   (["upgrade", "--full", "--force"], "done"),
                                   (["check"], "done"), (["check", "--deep"], "done")):
            with self.subTest(arguments=arguments):
                lines, events, result = self.stream(*arguments)
                self.assertEqual("--deep" in arguments, "(deep)" in events[0]["text"])
                self.assertIn("disposition", lines[0])
                self.assertEqual(outcome, result["outcome"])

    def test_every_reading_command_speaks_json(self):
        release = self.current()
        self.assertEqual("1.0.0", self.json("status")["applications"][0]["current"]["version"])
        self.assertEqual([1], [job["job"] for job in self.json("jobs")["jobs"]])
        self.assertEqual([release],
                         [one["release"] for one in self.json("releases")["releases"]])
        shown = self.json("config", "show")
        self.assertEqual(str(self.sandbox.config_file), shown["file"])
        self.assertEqual(str(self.repository.path),
                         shown["configuration"]["applications"]["demo"]["source"])
        self.assertTrue(self.json("config", "validate")["valid"])
        self.assertEqual(0, self.sandbox.mcpctl_json("watch", "1")[0])

    def test_errors_are_json_too(self):
        for arguments, error in ((["logs", "99"], "NotFound"), (["cancel"], "NotFound"),
                                 (["pin", "none"], "NotFound"),
                                 (["status", "--app", "none"], "NotFound"),
                                 (["rollback"], "NothingToRollBack")):
            with self.subTest(arguments=arguments):
                code, lines = self.sandbox.mcpctl_json(*arguments)
                self.assertEqual(1, code)
                self.assertEqual(error, lines[-1].get("error"), lines)
                self.assertTrue(lines[-1]["message"])

    def test_marks_are_set_shown_and_cleared(self):
        release = self.current()
        one = lambda: self.json("releases")["releases"][0]
        for on, off, flag in (("pin", "unpin", "pinned"), ("hold", "unhold", "held")):
            for name in (release, "1.0.0"):
                with self.subTest(mark=on, name=name):
                    self.assertEqual(release, self.json(on, name)["release"])
                    self.assertTrue(one()[flag])
                    self.assertIn("pinned" if on == "pin" else "hold", self.mcpctl(on, name))
                    self.json(off, name)
                    self.assertFalse(one()[flag])

    def test_a_pause_holds_unattended_upgrades_alone(self):
        self.json("hold")
        self.assertTrue(self.json("status")["applications"][0]["paused"])
        self.assertIn("paused", self.mcpctl("status"))
        self.repository.release("1.1.0")
        _, _, result = self.stream("upgrade", "--unattended")
        self.assertEqual("nothing_to_do", result["outcome"])
        self.json("unhold")
        _, _, result = self.stream("upgrade", "--unattended")
        self.assertEqual("done", result["outcome"])

    def test_config_show_prints_a_file_that_is_valid(self):
        text = self.mcpctl("config", "show")
        copy = self.sandbox.root / "shown.json"
        copy.write_text(text)
        self.assertIn("is valid", self.mcpctl("config", "validate", str(copy)))

    def test_an_upgrade_asked_for_after_one_has_ended_is_a_job_of_its_own(self):
        for number in range(2, 14):
            self.repository.release(f"1.{number}.0")
            self.mcpctl("upgrade")
            lines = self.stream("upgrade")[0]
            self.assertNotEqual("joined", lines[0]["disposition"])

    def test_a_job_right_after_the_start_is_not_lost(self):
        for _ in range(8):
            self.daemon.stop()
            self.daemon.start()
            self.assertEqual("nothing_to_do", self.stream("upgrade")[2]["outcome"])


class DryRun(UnchangedCase):
    def test_a_dry_run_changes_no_byte_and_uses_up_no_job_number(self):
        self.repository.release("1.1.0", {"lib/new.sh": "new\n", "lib/greeting.sh": None,
                                          "bin/demo": "#!/bin/sh\necho usage\n"})
        before = listing(self.sandbox.root, ("socket", "notify", "daemon.out", "state/lock"))
        for arguments in (["--dry-run"], ["--dry-run", "--full"], ["--dry-run", "--force"],
                          ["--dry-run", "--json"], ["--dry-run", "--to", "v1.0.0"]):
            self.mcpctl("upgrade", *arguments)
        self.mcpctl("rollback", "--to", "before", "--dry-run")
        self.assert_same(before, listing(self.sandbox.root,
                                         ("socket", "notify", "daemon.out", "state/lock")))
        self.assertEqual(2, json.loads(self.mcpctl("upgrade", "--detach", "--json")
                                       .splitlines()[0])["job"])

    def test_it_shows_release_files_saves_checks_and_space(self):
        self.repository.release("1.1.0", {"lib/new.sh": "new\n"})
        self.repository.write("lib/old.sh", "x")
        text = self.mcpctl("upgrade", "--full", "--dry-run")
        for words in ("1.0.0", "1.1.0", "~ lib/version.sh", "+ lib/new.sh", "~ CHANGELOG.md",
                      ".demo/settings.json", "demo --help", "demo status", "demo check",
                      "mid-check", "post-check", str(self.sandbox.state), "free"):
            self.assertIn(words, text)
        self.assertNotIn("bin/demo\n", text)
        plan = json.loads(self.mcpctl("upgrade", "--full", "--dry-run", "--json"))
        self.assertEqual(("1.0.0", "1.1.0"), (plan["from"]["version"], plan["to"]["version"]))
        self.assertEqual({"lib/version.sh": "changed", "lib/greeting.sh": "changed",
                          "lib/new.sh": "added", "CHANGELOG.md": "changed"},
                         {one["path"]: one["change"] for one in plan["changes"]})
        self.assertEqual(plan["changed_files"], len(plan["changes"]))
        self.assertGreaterEqual(plan["space"]["needed_bytes"], 100 << 20)

    def test_it_says_when_there_is_nothing_to_do(self):
        self.assertIn("up to date", self.mcpctl("upgrade", "--dry-run"))
        self.assertTrue(json.loads(self.mcpctl("upgrade", "--dry-run", "--json"))["nothing_to_do"])

    def test_it_warns_of_files_that_differ_from_head_as_the_run_would(self):
        self.repository.release("1.1.0")
        self.repository.write("lib/version.sh", "version=edited\n")
        self.assertIn("lib/version.sh", self.mcpctl("upgrade").split("differ")[1].split("\n")[0])

    def test_a_dry_run_on_a_fresh_machine_installs_nothing(self):
        self.daemon.stop()
        fresh = self.sandbox.root / "fresh"
        self.sandbox.state = fresh
        self.daemon.start()
        before = listing(self.sandbox.root, ("socket", "notify", "daemon.out", "fresh/lock"))
        self.assertIn("1.0.0", self.mcpctl("upgrade", "--dry-run"))
        self.assert_same(before, listing(self.sandbox.root, ("socket", "notify", "daemon.out",
                                                             "fresh/lock")))


class SeveralApplications(DaemonTestCase):
    def setUp(self):
        super().setUp()
        self.repository.release("1.0.0")
        second = self.sandbox.application(
            entry_points=[{"name": "greet", "path": "bin/demo",
                           "link": str(self.sandbox.links / "greet")}],
            checks=[{"arguments": ["--help"], "essential": True}], deep_checks=[], files=[])
        self.sandbox.write_configuration(applications={
            "mcp": None, "demo": self.sandbox.application(), "greet": second})
        self.daemon.start()

    def test_each_is_upgraded_by_its_name_alone(self):
        done = self.sandbox.mcpctl("upgrade")
        self.assertEqual(2, done.status)
        self.assertIn("demo, greet", done.stdout + done.stderr)
        self.mcpctl("upgrade", "--app", "greet")
        self.assertFalse((self.sandbox.links / "demo").exists())
        self.mcpctl("--app", "demo", "upgrade")
        self.repository.release("1.1.0")
        self.mcpctl("upgrade", "--app=greet")
        greet = subprocess.run([self.sandbox.links / "greet"], capture_output=True, text=True,
                               check=True)
        self.assertEqual("hello from demo 1.1.0\n", greet.stdout)
        self.assertEqual("hello from demo 1.0.0\n", self.sandbox.demo().stdout)

    def test_status_shows_all_or_one(self):
        self.mcpctl("upgrade", "--app", "greet")
        code, lines = self.sandbox.mcpctl_json("status")
        self.assertEqual((0, ["demo", "greet"]),
                         (code, sorted(one["app"] for one in lines[0]["applications"])))
        _, lines = self.sandbox.mcpctl_json("status", "--app", "greet")
        self.assertEqual(["greet"], [one["app"] for one in lines[0]["applications"]])
        _, lines = self.sandbox.mcpctl_json("releases", "--app", "demo")
        self.assertEqual([], lines[0]["releases"])
        self.assertEqual({}, stored_state(self.sandbox)["applications"].get("demo", {}))


if __name__ == "__main__":
    unittest.main()
