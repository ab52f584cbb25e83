#!/usr/bin/env python3
"""The ways in which the upgrade scripts of old lost data, one test each (more where a fault has
several faces): every one must be impossible now. The numbers are those of the list of faults that
the design keeps."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import threading
import unittest

from daemon_fixture import MCPCTL, listing, wait_for
from job_fixture import JobTestCase, behaviour


class Turns(JobTestCase):
    #: Says so if another check of the same home is inside at the same time.
    ALONE = ('case "$1" in --help) mkdir "{place}/inside" || echo x >> "{place}/overlaps"\n'
             'sleep 0.02; echo x >> "{place}/entered"; rmdir "{place}/inside";; esac')

    def alone(self, version):
        return behaviour(version, self.ALONE.format(place=self.sandbox.root))

    def entered(self):
        return (self.sandbox.root / "entered").read_text().count("x")

    def assert_never_overlapped(self):
        self.assertFalse((self.sandbox.root / "overlaps").exists())

    def test_fault_01_quick_and_full_never_run_at_once(self):
        help_alone = [{"arguments": ["--help"], "essential": True}]
        self.sandbox.write_configuration({"checks": help_alone, "deep_checks": []})
        for version in ("1.0", "1.1"):
            self.repository.release(version, self.alone(version))
        self.daemon.start()
        self.mcpctl("upgrade")
        before = self.entered()
        turns = [["--quick", "--force"], ["--full", "--force"], ["--quick", "--to", "1.0"],
                 ["--full", "--to", "1.0"], ["--quick", "--to", "1.1", "--force"]]
        processes = [self.begin("upgrade", *turn, "--wait", "60") for turn in turns]
        polls, most = 0, 0
        while any(process.poll() is None for process in processes):
            polls, most = polls + 1, max(most, len(self.running()))
        self.assertEqual([0] * len(turns), [process.wait() for process in processes],
                         [process.stdout.read() for process in processes])
        self.assertGreater(polls, 50)
        self.assertEqual(1, most)
        # Every one ran its check in the middle and at the end, except those with nothing to do.
        self.assertGreaterEqual(self.entered() - before, 2 * 4)
        self.assert_never_overlapped()

    def test_fault_01_two_daemons_are_never_in_one_home_at_once(self):
        self.sandbox.write_configuration({"checks": [{"arguments": ["--help"], "essential": True}],
                                          "deep_checks": []})
        self.repository.release("1.0", self.alone("1.0"))
        self.daemon.start()
        second = ["--user", "--config", str(self.sandbox.root / "second.json"), "--state-dir",
                  str(self.sandbox.root / "state2"), "--socket", str(self.sandbox.root / "socket2")]
        configuration = json.loads(self.sandbox.config_file.read_text())
        link = str(self.sandbox.home / "second")
        configuration["applications"]["demo"]["entry_points"][0]["link"] = link
        (self.sandbox.root / "second.json").write_text(json.dumps(configuration | {"idle_exit": 1}))
        first = self.begin("upgrade", "--full")
        # mcpctl starts the other daemon, which leaves by itself.
        done = subprocess.run([MCPCTL, "upgrade", *second], env=self.sandbox.environment(),
                              capture_output=True, text=True, timeout=60, check=False, cwd="/")
        pid = json.loads((self.sandbox.root / "state2" / "lock").read_text())["pid"]
        self.assertEqual((0, 0), (first.wait(), done.returncode), done.stdout + done.stderr)
        wait_for(lambda: not os.path.exists(f"/proc/{pid}") or self.is_zombie(pid), "its end")
        self.assertEqual(4, self.entered())
        self.assert_never_overlapped()

    @staticmethod
    def is_zombie(pid):
        with contextlib.suppress(OSError):
            return pathlib.Path(f"/proc/{pid}/stat").read_text().split(") ")[-1].startswith("Z")
        return True

    def test_fault_02_failing_to_get_the_turn_and_help_and_typing_errors_change_nothing(self):
        self.install_first_release()
        self.repository.release("1.0.1")
        self.mcpctl("upgrade")
        gate, waits = self.block_checks()
        running = self.begin("upgrade", "--full")
        wait_for(waits.exists, "the blocked check")
        before = listing(self.sandbox.root)
        for status, arguments in [
                (3, ["upgrade", "--no-wait"]), (3, ["upgrade", "--full", "--force", "--no-wait"]),
                (3, ["rollback", "--no-wait"]), (3, ["upgrade", "--to", "1.0", "--no-wait"]),
                (0, ["--help"]), (0, ["upgrade", "--help"]), (0, ["rollback", "--help"]),
                (2, ["upgrade", "--quik"]), (2, ["upgrade", "--full", "--forse"]),
                (2, ["rolback"]), (2, ["rollback", "--configs=often"]), (2, ["upgrade", "1.1"])]:
            with self.subTest(arguments=arguments):
                self.mcpctl(*arguments, status=status)
                self.assert_same(before, listing(self.sandbox.root))
                self.assert_runs("1.0.1")
        # One that waited leaves a record of that, and nothing else.
        self.mcpctl("rollback", "--wait", "1", status=3)
        records = ("state/jobs", "state/state.json")
        after = listing(self.sandbox.root, records)
        self.assert_same({path: entry for path, entry in before.items()
                          if path in after or not path.startswith(records)}, after)
        gate.touch()
        self.assertEqual(0, running.wait(30), running.stdout.read())
        self.assert_runs("1.1")

    def test_fault_02_help_and_typing_errors_start_no_daemon(self):
        before = listing(self.sandbox.root)
        for status, arguments in [(0, ["--help"]), (0, ["upgrade", "--help"]),
                                  (2, ["upgrade", "--quik"]), (2, ["upgarde"])]:
            self.mcpctl(*arguments, status=status)
        self.assert_same(before, listing(self.sandbox.root))


class Killed(JobTestCase):
    PHASES = ("resolve", "stage", "snapshot", "mid-check", "activate", "post-check", "stale",
              "commit", "prune")

    def test_fault_03_a_killed_daemon_leaves_a_runnable_command_and_the_next_start_recovers(self):
        self.install_first_release()
        for number, phase in enumerate(self.PHASES):
            with self.subTest(phase=phase):
                old, new = f"1.{number}", f"1.{number + 1}"
                self.repository.release(new)
                self.kill_in(phase)
                self.assert_runs(old, new)
                self.daemon.start()
                self.wait_idle()
                self.assert_runs(old, new)
                self.assert_nothing_is_left_over()
                self.mcpctl("upgrade", "--full")
                self.assert_runs(new)

    def kill_in(self, phase):
        job = max(int(name) for name in os.listdir(self.sandbox.state / "jobs")) + 1
        self.mcpctl("upgrade", "--full", "--detach")
        wait_for(lambda: f'"phase":"{phase}"' in self.events(job), f"phase {phase}")
        self.daemon.kill()

    def assert_nothing_is_left_over(self):
        names = listing(self.sandbox.state).keys() | listing(self.sandbox.home).keys()
        self.assertEqual([], [name for name in names if ".tmp" in name or ".corrupt" in name])
        scratch = self.sandbox.state / "scratch"
        self.assertEqual([], os.listdir(scratch) if scratch.exists() else [])
        status, [answer] = self.sandbox.mcpctl_json("status", "--verify")
        self.assertEqual((0, []), (status, answer["problems"]))
        self.assertEqual([], answer["applications"][0]["problems"])
        self.assertEqual([], answer["applications"][0]["verified"]["damaged"])

    def test_fault_03_a_client_that_is_interrupted_or_killed_does_not_disturb_its_job(self):
        self.install_first_release()
        gate, waits = self.block_checks()
        for end in (signal.SIGINT, signal.SIGKILL):
            with self.subTest(signal=end.name):
                client = self.begin("upgrade", "--full", "--force")
                wait_for(waits.exists, "the blocked check")
                client.send_signal(end)
                self.assertEqual(130 if end == signal.SIGINT else -end, client.wait(20))
                gate.touch()
                self.wait_idle()
                self.assert_runs("1.1")
                gate.unlink()
                waits.unlink()


class Adopted(JobTestCase):
    """An application that was installed as a link into its checkout."""

    #: Passes in the middle, where nobody sees it, and does not run at all once it is installed.
    def broken_when_installed(self, version):
        return behaviour(version, f'[ "$HOME" != "{self.sandbox.home}" ] || exit 9')

    def test_fault_05_restoring_never_writes_through_the_link_into_the_checkout(self):
        self.adopt_checkout()
        link = os.lstat(self.link)
        target = os.readlink(self.link)
        self.mcpctl("upgrade", "--full")
        self.repository.release("1.1", self.broken_when_installed("1.1"))
        checkout = listing(self.repository.path, [".git"])
        self.mcpctl("upgrade", status=1)
        self.assert_same(checkout, listing(self.repository.path, [".git"]))
        self.assert_runs("1.0")
        self.repository.git("checkout", "--quiet", "v1.0")
        checkout = listing(self.repository.path, [".git"])
        self.mcpctl("rollback", "--to", "before")
        self.assert_same(checkout, listing(self.repository.path, [".git"]))
        self.assertEqual(target, os.readlink(self.link))
        self.assertTrue(stat.S_ISLNK(link.st_mode))
        self.mcpctl("rollback")
        self.assert_runs("1.0")
        self.assert_same(checkout, listing(self.repository.path, [".git"]))

    def test_going_back_to_a_checkout_that_fails_names_it_and_what_to_do(self):
        self.adopt_checkout()
        self.mcpctl("upgrade")
        moved = self.repository.path.with_name("moved")
        self.repository.path.rename(moved)
        printed = self.mcpctl("rollback", "--to", "before", status=1)
        self.assertIn(f"itself what fails: mend or restore {self.repository.path}, then "
                      "'mcpctl rollback --to before", printed)
        self.assertIn("' again; everything is as it was", printed)
        self.assert_runs("1.0")
        moved.rename(self.repository.path)
        self.mcpctl("rollback", "--to", "before")
        self.assert_runs("1.0")

    def test_fault_05_a_broken_first_release_is_undone_and_the_old_one_really_runs(self):
        self.adopt_checkout()
        self.repository.release("1.1", self.broken_when_installed("1.1"))
        self.repository.git("checkout", "--quiet", "v1.0")
        before = listing(self.sandbox.links)
        checkout = listing(self.repository.path, [".git"])
        printed = self.mcpctl("upgrade", "--to", "1.1", status=1)
        self.assertIn("everything is as it was before this job", printed)
        self.assert_same(before, listing(self.sandbox.links))
        self.assert_same(checkout, listing(self.repository.path, [".git"]))
        self.assert_runs("1.0")
        self.assertIn("hello from demo 1.0", self.sandbox.demo().stdout)

    def test_fault_05_a_broken_release_is_undone_and_the_old_one_really_runs(self):
        self.adopt_checkout()
        self.mcpctl("upgrade")
        links = listing(self.sandbox.links)
        self.repository.release("1.1", self.broken_when_installed("1.1"))
        for mode in ("--quick", "--full"):
            printed = self.mcpctl("upgrade", mode, "--force", status=1)
            self.assertIn("everything is as it was before this job", printed)
            # All its files, not one of them.
            self.assertEqual("hello from demo 1.0\n", self.sandbox.demo().stdout)
            self.assert_same(links, listing(self.sandbox.links))

    def test_fault_05_a_copy_written_through_the_link_is_told_and_mended(self):
        self.adopt_checkout()
        self.mcpctl("upgrade")
        checkout = listing(self.repository.path)
        shutil.copyfile("/bin/true", self.link)  # what `cp mcp.backup /usr/local/bin/mcp` does
        self.assert_same(checkout, listing(self.repository.path))
        status, [answer] = self.sandbox.mcpctl_json("status")
        self.assertEqual(1, status)
        self.assertEqual("broken", answer["applications"][0]["entry_points"][0]["state"])
        self.assertTrue(answer["applications"][0]["problems"])
        self.mcpctl("upgrade")
        self.assert_runs("1.0")


class NeverMissing(JobTestCase):
    UPGRADES = 6

    @contextlib.contextmanager
    def again_and_again(self, look):
        """Calls look() in two threads without a pause; its answers are told if they are true.
        Yields the list of all answers."""
        done, answers = threading.Event(), []

        def loop():
            while not done.is_set():
                answers.append(look())

        threads = [threading.Thread(target=loop) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield answers
        finally:
            done.set()
            for thread in threads:
                thread.join()
        self.assertEqual([], [answer for answer in answers if answer])

    def run_wrong(self):
        result = self.sandbox.demo("status")
        return None if (result.status, result.stdout[-5:]) == (0, "well\n") else result

    def test_fault_06_there_is_no_moment_without_a_runnable_command(self):
        self.adopt_checkout()
        self.mcpctl("upgrade", "--full")
        with self.again_and_again(self.run_wrong) as answers:
            for number in range(self.UPGRADES):
                self.repository.release(f"1.{number + 1}")
                self.mcpctl("upgrade", "--full")
            self.mcpctl("rollback")
            self.mcpctl("rollback", "--to", "before")
        self.assertGreater(len(answers), 10 * self.UPGRADES)
        self.assert_runs(f"1.{self.UPGRADES}")

    def test_fault_06_nor_one_at_adoption(self):
        # Only looked at: a script that starts through the old link at this very moment is opened by
        # its interpreter once more, after the kernel opened it, and no switch can change that.
        self.adopt_checkout()
        with self.again_and_again(lambda: not os.access(self.link, os.X_OK)):
            for _ in range(3):
                self.mcpctl("upgrade", "--full")
                self.mcpctl("rollback", "--to", "before")


class FreshMachine(JobTestCase):
    def install(self, *arguments):
        self.repository.release("1.0")
        self.daemon.start()
        self.assertFalse(os.path.exists(self.sandbox.links / "demo"))
        printed = self.mcpctl("upgrade", *arguments)
        self.assertNotIn("already", printed)
        self.assert_runs("1.0")
        return printed

    def test_fault_07_a_full_upgrade_of_a_fresh_machine_installs(self):
        self.assertIn("installed 1.0-", self.install("--full"))

    def test_fault_07_so_does_a_quick_one_where_nobody_ever_made_the_directory_of_links(self):
        shutil.rmtree(self.sandbox.home / ".local")
        self.install()

    def test_fault_07_a_link_that_leads_nowhere_is_no_installation(self):
        (self.sandbox.links / "demo").symlink_to(self.sandbox.root / "gone" / "bin" / "demo")
        self.install("--full", "--unattended")

    def test_fault_07_without_a_source_it_says_so_and_does_not_call_it_success(self):
        self.sandbox.write_configuration({"source": ""})
        self.daemon.start()
        done = self.sandbox.mcpctl("upgrade", "--full")
        self.assertEqual(1, done.status)
        self.assertIn("--from", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
