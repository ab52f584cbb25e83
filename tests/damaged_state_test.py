#!/usr/bin/env python3
"""One file of the state directory is damaged while no daemon runs: cut off, emptied, filled with
noise, replaced by a directory, a pipe or a link, made unreadable, or removed. Whatever it is,
nothing hangs, the command goes on working unless the file is what it runs, status names the file
and what to do, no history, pin, hold or denied mark vanishes without a word, and nothing outside
changes.

Files that are alike in everything but a number (those of jobs and releases) are damaged once for
each part that they have: the last job; the current release, the one to roll back to, a pinned one.
"""

import json
import os
import stat
import unittest

from daemon_fixture import differences
from damaged_state_fixture import (DAMAGES, EARLIER, HUNG, MIGRATED, SETTINGS, Past, directory,
                                   emptied, fifo, half, noise, removed, unreadable)

#: A link has no content, and no mode of its own.
OF_FILES = (half, emptied, noise, unreadable)

UPGRADE, BACK, BEFORE = ("upgrade",), ("rollback",), ("rollback", "--to", "before")
NEVER_STARTS = 5


def damaging(*names, damages=DAMAGES):
    """A test that is a judgement of each of these files, damaged in each of these ways."""
    def decorate(judge):
        def test(self):
            for name in names:
                for damage in damages:
                    self.case(name, damage, judge)
        return test
    return decorate


def seen(path):
    """What stands at a path, comparable."""
    if not os.path.lexists(path):
        return "nothing", None
    info = os.lstat(path)
    if stat.S_ISLNK(info.st_mode):
        return "link", os.readlink(path)
    if stat.S_ISREG(info.st_mode):
        return "file", path.read_bytes()
    return stat.S_IFMT(info.st_mode), None


class DamagedState(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.cases, cls.files = 0, set()
        cls.past = Past()
        cls.addClassCleanup(cls.past.close)

    @classmethod
    def tearDownClass(cls):
        print(f"counted: {cls.cases} cases of damage to {len(cls.files)} files")

    # --- one case ---

    def case(self, name, damage, judge):
        """Judges one file damaged in one way. What is true of all: the daemon ends when it is asked
        to, and nothing outside has changed."""
        self.past.restore()
        path = self.past.find(name)
        if os.path.islink(path) and damage in OF_FILES:
            return
        before = seen(path)
        damage(path, self.past)
        if damage in (half, emptied) and seen(path) == before:
            return  # it was empty
        type(self).cases += 1
        self.files.add(name)
        with self.subTest(file=name, damage=damage.__name__):
            outside = self.past.outside()
            judge(self, path, damage)
            self.assertTrue(self.past.end_daemon(), "SIGTERM did not end the daemon")
            self.assertEqual([], self.changed(outside), "changed outside the state directory")

    def changed(self, before):
        """What changed but for what a rollback puts back: the settings, as saved."""
        lines = differences(before, self.past.outside())
        self.assertIn(self.past.settings.read_text(), (SETTINGS, MIGRATED + "\n"))
        back = ("home/.demo/settings.json:", "home/.local/bin/demo:")
        return [line for line in lines if not line.removeprefix("changed: ").startswith(back)]

    def run_command(self, version="1.1.0"):
        done = self.past.command("status")
        self.assertEqual((0, f"demo {version}: well\n"), (done.status, done.stdout), done.stderr)

    def ask(self, *arguments, status):
        done = self.past.mcpctl(*arguments)
        self.assertNotEqual(HUNG, done.status, f"{arguments} does not end: {done.stdout}")
        self.assertIn(done.status, status, done)
        return done

    def tell(self, *names, status=(1, 6)):
        """Status tells of the damage: by its exit code, one of these names, and a remedy."""
        done = self.ask("status", "--verify", status=(0, 1, 6))
        problems = "".join(line for line in done.stdout.splitlines(True) if "PROBLEM" in line)
        self.assertTrue(any(name in problems for name in map(str, names)), done.stdout)
        self.assertIn("what to do", done.stdout)
        self.assertIn(done.status, status, f"the exit code says that all is well: {problems}")

    def use(self, path, *arguments):
        """What needs the file does its work, or fails and names it. True if it worked."""
        before = os.readlink(self.past.link), seen(self.past.link.resolve())
        done = self.ask(*arguments, status=(0, 1))
        if done.status:
            self.assertIn(path.name, done.stdout + done.stderr)
            self.assertEqual(before, (os.readlink(self.past.link), seen(self.past.link.resolve())))
        elif arguments == UPGRADE:
            self.run_command("1.4.0")
        elif arguments == BACK:
            self.run_command("1.3.0")
            restored = self.past.settings.read_text() == MIGRATED + "\n"
            self.assertTrue(restored or "WARNING" in done.stdout, "the settings are not put back, "
                            f"and nobody says so: {done.stdout}")
        elif arguments == BEFORE:
            self.assertEqual(EARLIER, self.past.link.read_text(), "what stood there before")
        return done.status == 0

    def keep(self, *but):
        """What was recorded is there yet: the history, and what somebody decided (not these)."""
        was, now = (json.loads((top / "state.json").read_text())["applications"]["demo"]
                    for top in (self.past.good.with_name("good-state"), self.past.state))
        history = [[(one["job"], one["from"], one["to"]) for one in state["history"]]
                   for state in (was, now)]
        self.assertEqual(history[0], history[1][:len(history[0])])
        for what in {"pins", "holds", "paused"} - set(but):
            self.assertEqual(was[what], now.get(what), what)
        denied = "apps/demo/denied.json"
        if "denied" not in but:
            self.assertEqual((self.past.good.with_name("good-state") / denied).read_bytes(),
                             (self.past.state / denied).read_bytes())

    # --- what is recorded ---

    @damaging("state.json")
    def test_the_state_is_set_aside_and_nothing_changes_until_that_is_settled(self, path, damage):
        if damage is removed:
            return  # the next test
        wrong = seen(path) if damage is not unreadable else None
        self.run_command()
        self.tell(path)
        if wrong:  # what cannot be read is no damage yet
            [aside] = self.past.state.glob("state.json.corrupt-*")
            self.assertEqual(wrong, seen(aside))
        for arguments in (UPGRADE, BACK, ("pin", "1.0.0"), ("hold",)):
            self.assertIn("state.json", self.ask(*arguments, status=(1,)).stderr)
        self.run_command()

    @damaging("state.json", damages=(removed,))
    def test_a_state_that_is_gone_is_made_again_and_what_is_lost_is_told(self, path, _):
        self.tell(path)
        printed = self.ask(*UPGRADE, status=(0,)).stdout
        self.assertRegex(printed, "WARNING.*pins")
        self.run_command("1.4.0")
        self.keep("pins", "holds", "paused")

    @damaging("apps/demo/denied.json")
    def test_denied_releases_are_not_forgotten(self, path, damage):
        if damage is removed:
            return  # nothing else knows of them: who removes it takes all marks away
        self.run_command()
        self.tell(path)
        self.use(path, *UPGRADE)
        self.keep("denied")

    @damaging("apps/demo/adoption/entry-points.json")
    def test_what_stood_there_before_is_not_forgotten(self, path, _):
        self.run_command()
        self.tell(path)
        self.use(path, *BEFORE)
        self.keep()

    @damaging("apps/demo/adoption/*[0-9a-f]")
    def test_what_stood_there_before_comes_back_whole_or_not_at_all(self, path, _):
        self.run_command()
        self.ask("status", "--verify", status=(0, 1, 6))
        self.use(path, *BEFORE)
        self.keep()

    @damaging("jobs/*/job.json")
    def test_a_jobs_record_does_not_vanish_without_a_word(self, path, _):
        self.run_command()
        told = self.ask("status", "--verify", status=(0, 1, 6)).stdout
        told += self.ask("jobs", status=(0, 1)).stdout
        listed = any(line.split()[:1] == ["5"] for line in told.splitlines())
        self.assertTrue(listed or "jobs/5/job.json" in told, told)
        self.use(path, *UPGRADE)
        self.keep()

    @damaging("jobs/*/job.json")
    def test_the_log_of_a_job_whose_record_is_damaged_ends(self, _path, _):
        self.assertIn("rolled back", self.ask("logs", "5", status=(0, 1)).stdout)

    @damaging("jobs/*/events.ndjson")
    def test_a_damaged_log_is_shown_whole_or_called_damaged(self, path, _):
        self.run_command()
        self.ask("status", "--verify", status=(0, 1, 6))
        done = self.ask("logs", "5", status=(0, 1))
        told = done.stdout + done.stderr
        self.assertTrue("rolling back" in told and "rolled back" in told
                        or "damaged" in told or "is lost" in told or path.name in told, told)
        self.use(path, *UPGRADE)
        self.keep()

    @damaging("snapshots/*/manifest.json", "snapshots/*/after.json", "snapshots/*/content/*")
    def test_saved_configuration_is_put_back_or_it_is_said_that_it_is_not(self, path, _):
        self.run_command()
        self.ask("status", "--verify", status=(0, 1, 6))
        self.use(path, *BACK)
        self.keep("holds")

    # --- what runs ---

    @damaging("apps/demo/current")
    def test_the_link_to_the_current_release(self, path, _):
        self.assertNotEqual(HUNG, self.past.command("status").status)
        self.tell(path, self.past.link)
        if self.use(path, *UPGRADE):
            self.keep()
            self.assertIn("rolled back to 1.", self.ask(*BACK, status=(0,)).stdout)

    @damaging("launch/demo/demo")
    def test_the_launcher_is_put_back(self, path, damage):
        self.assertNotEqual(HUNG, self.past.command("status").status)
        self.tell(path, self.past.link)
        # What is no file, or cannot be saved first, is not ours to replace: it is named.
        mended = self.use(path, *UPGRADE)
        self.assertEqual(damage not in (directory, fifo, unreadable), mended)
        self.keep()

    @damaging("current/exec/demo", "current/tree/bin/demo")
    def test_the_program_of_the_current_release(self, path, _):
        self.assertNotEqual(HUNG, self.past.command("status").status)
        self.tell(path.name)
        self.assertTrue(self.use(path, *UPGRADE))
        self.keep()

    @damaging("current/tree/lib/version.sh")
    def test_a_file_that_the_application_reads(self, path, damage):
        if damage is not fifo:  # which the application itself waits for
            self.assertNotEqual(HUNG, self.past.command("status").status)
        self.tell(path.name)
        self.assertTrue(self.use(path, *UPGRADE))
        self.keep()

    @damaging("current/listing", "current/release.json", "current/tree/CHANGELOG.md")
    def test_what_no_command_needs_of_the_current_release(self, path, _):
        self.run_command()
        self.tell(path.name)
        self.assertTrue(self.use(path, *UPGRADE))
        self.keep()

    @damaging("current/in-use", "back/in-use")
    def test_the_lock_that_launchers_take_stops_no_command(self, path, _):
        self.run_command()
        self.ask("status", "--verify", status=(0, 1, 6))
        self.assertTrue(self.use(path, *UPGRADE))
        self.keep()

    @damaging("back/exec/demo", "back/listing", "back/release.json", "back/tree/lib/version.sh")
    def test_the_release_to_roll_back_to(self, path, _):
        self.run_command()
        self.tell(path.name)
        self.use(path, *BACK)
        self.keep("holds")

    @damaging("pinned/tree/lib/version.sh")
    def test_a_release_that_is_only_kept(self, path, _):
        self.run_command()
        self.ask("status", "--verify", status=(0, 1, 6))
        self.ask("upgrade", "--to", "1.0.0", status=(0,))
        self.run_command("1.0.0")
        self.keep()

    # --- what the daemon itself uses ---

    @damaging("lock")
    def test_the_daemons_lock(self, path, _):
        self.run_command()
        done = self.ask("status", status=(0, NEVER_STARTS))
        if done.status:
            self.assertIn(str(path), done.stderr)
            self.assertRegex(done.stderr, "remove it|move it away", "no remedy is named")
        else:
            self.assertTrue(self.use(path, *UPGRADE))
            self.keep()

    @damaging("daemon.log")
    def test_the_daemons_own_log(self, path, _):
        self.run_command()
        self.ask("status", status=(0,))
        self.past.complain()
        self.ask("status", status=(0,))
        self.assertTrue(self.use(path, *UPGRADE))
        self.keep()


class Covered(unittest.TestCase):
    """A file that is new in the state directory is noticed here on the day it is added."""

    KNOWN = ("state.json", "lock", "daemon.log", "apps/demo/current", "apps/demo/denied.json",
             "apps/demo/adoption/", "launch/demo/demo", "jobs/", "snapshots/", "exec/demo",
             "in-use", "listing", "release.json", "/tree/")

    def test_there_are_no_other_files(self):
        past = Past()
        self.addCleanup(past.close)
        self.assertEqual([], [name for name in past.files()
                              if not any(known in name for known in self.KNOWN)])


if __name__ == "__main__":
    unittest.main()
