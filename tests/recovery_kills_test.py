"""SIGKILL of the daemon in an upgrade, at each border of it and at any time: what is there
afterwards is exactly the old or exactly the new, the log says which, and whoever was watching
missed nothing."""

import json
import random
import subprocess
import unittest

from crash_fixture import CrashTestCase, Machine
from daemon_fixture import MCPCTL

QUICK = ["stage", "snapshot", "mid-check", "activate", "post-check", "record-after"]
FULL = QUICK[:-1] + ["stale", "record-after"]


class KilledUpgrades(CrashTestCase):
    def kill_upgrades(self, steps, *options):
        with Machine() as machine:
            machine.release(1)
            machine.mcpctl("upgrade")
            minor = 1

            def attempt(moment):
                nonlocal minor
                minor += 1
                machine.release(minor)
                crash, _ = self.crash_and_judge(machine, ["upgrade", *options],
                                                machine.view_of(minor), moment(machine))
                self.upgrade_works(machine, minor)
                return crash

            self.at_each_border(steps, attempt)

    def test_a_quick_upgrade_killed_at_each_border_is_undone_or_done(self):
        self.kill_upgrades(QUICK)

    def test_a_full_upgrade_killed_at_each_border_is_undone_or_done(self):
        self.kill_upgrades(FULL, "--full")

    def test_kills_at_random_times_leave_the_old_or_the_new(self):
        seed = random.randrange(2**32)
        chance = random.Random(seed)
        with Machine() as machine:
            machine.release(1)
            machine.mcpctl("upgrade")
            for minor in range(2, 14):
                machine.release(minor)
                options = chance.choice([[], ["--full"]])
                with self.subTest(seed=seed, minor=minor, options=options):
                    self.crash_and_judge(machine, ["upgrade", *options], machine.view_of(minor),
                                         machine.after(chance.uniform(0, 0.5)))
                    self.upgrade_works(machine, minor)

    def test_a_recovery_that_is_killed_too_is_taken_up_again(self):
        with Machine() as machine:
            machine.release(1)
            machine.mcpctl("upgrade")
            for minor, step in enumerate((3, 4, 5, 6), 2):
                machine.release(minor)
                moments = [machine.at_step(step), machine.at_event(b"recovery.started"),
                           machine.at_event(b"undo.started")]
                with self.subTest(step=step):
                    self.crash_and_judge(machine, ["upgrade", "--full"], machine.view_of(minor),
                                         *moments)
                    self.upgrade_works(machine, minor)

    def test_a_watcher_across_the_kill_sees_each_event_once(self):
        with Machine() as machine:
            machine.release(1)
            machine.mcpctl("upgrade")
            for minor, phase in enumerate((b"stage", b"mid-check", b"activate", b"prune"), 2):
                machine.release(minor)
                watchers = []

                def moment(job, phase=phase, watchers=watchers, machine=machine):
                    if not watchers and machine.at_event(b"job.started")(job):
                        watchers.append(self.watch(machine, job))
                    return bool(watchers) and machine.at_event(b'"phase":"' + phase)(job)

                with self.subTest(phase=phase):
                    crash, _ = self.crash_and_judge(machine, ["upgrade"], machine.view_of(minor),
                                                    moment)
                    output, errors = watchers[0].communicate(timeout=60)
                    lines = [json.loads(line) for line in output.splitlines()]
                    self.assertEqual(machine.events(crash.job),
                                     [line["event"] for line in lines if line.get("event")])
                    self.assertEqual(crash.status, watchers[0].returncode, errors)

    @staticmethod
    def watch(machine, job):
        return subprocess.Popen(
            [MCPCTL, "watch", str(job), "--json", *machine.sandbox.instance_arguments()],
            env=machine.sandbox.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, cwd="/")


if __name__ == "__main__":
    unittest.main()
