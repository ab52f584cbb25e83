"""SIGKILL of the daemon again and again, at random moments, while the command is in use and the
machine has more to do than it can: whoever starts the command gets one whole release, and whoever
follows a job sees each of its events once, those of its recovery included.

MCPU_KILLS sets how many, 100 if nothing is said; MCPU_SEED repeats a run's moments."""

import collections
import os
import random
import time
import unittest

from crash_fixture import PROGRAM, CrashTestCase, Machine
from mixing_test import Runner

KILLS = int(os.environ.get("MCPU_KILLS", "100"))
SEED = int(os.environ.get("MCPU_SEED") or random.randrange(2**32))

#: More at once than there are processors: a job's processes wait for their turn.
RUNNERS = 2
PARTS = 5

# Each part is found anew, as programs do that load what they need when they need it; a switch in
# the middle of this would show if the command led through a link.
IN_PARTS = PROGRAM.replace('  *) echo "demo $version" ;;', """  *)
    for part in PARTS; do
      . "$(dirname "$(readlink -f "$0")")/../lib/part$part"
      [ "$part_version" = "$version" ] || { echo "MIXED $version $part_version"; exit 70; }
    done
    echo "demo $version" ;;""".replace("PARTS", " ".join(map(str, range(PARTS)))))
assert IN_PARTS != PROGRAM


class KilledUnderLoad(CrashTestCase):
    def setUp(self):
        self.chance = random.Random(SEED)
        self.machine = Machine()
        self.machine.command_in_use = True
        self.addCleanup(self.machine.close)
        self.newest = 0
        self.current = self.earlier = None
        self.kills = 0
        self.told = collections.Counter()

    def release_next(self):
        self.newest += 1
        files = {f"lib/part{part}": f"part_version=1.{self.newest}.0\n" for part in range(PARTS)}
        self.machine.sandbox.repository.release(
            f"1.{self.newest}.0", files | {"bin/demo": IN_PARTS})

    def upgrade(self):
        self.release_next()
        self.machine.mcpctl("upgrade")
        self.current, self.earlier = self.newest, self.current

    def a_moment_within(self, seconds):
        """So long behind the job's start, or behind the kill before. Not earlier: to somebody whose
        job has not begun, a daemon that ends while it starts is an answer."""
        delay, end = self.chance.uniform(0, seconds), None

        def passed(job):
            nonlocal end
            if end is None and self.machine.at_event(b"job.started")(job):
                end = time.monotonic() + delay
            if end is None or time.monotonic() < end:
                time.sleep(0.001)
                return False
            self.kills += 1
            return True
        return passed

    def moments(self):
        """The second and third meet the recovery, mostly."""
        more = self.chance.choice([0, 1, 2, 3])
        return [self.a_moment_within(0.5)] + [self.a_moment_within(0.15) for _ in range(more)]

    def kill_an_upgrade(self):
        if self.newest == self.current or self.chance.random() < 0.3:
            self.release_next()
        options = self.chance.choice([[], ["--full"]])
        _, done = self.crash_and_judge(self.machine, ["upgrade", *options],
                                       self.machine.view_of(self.newest), *self.moments())
        if done:
            self.current, self.earlier = self.newest, self.current
        self.told[f"upgrades {'done' if done else 'undone'}"] += 1

    def kill_a_rollback(self):
        _, done = self.crash_and_judge(self.machine, ["rollback"],
                                       self.machine.view_of(self.earlier), *self.moments())
        if done:
            self.current, self.earlier = self.earlier, self.current
        self.told[f"rollbacks {'done' if done else 'undone'}"] += 1

    def test_kills_at_random_moments_are_seen_by_nobody_who_runs_the_command_or_follows_a_job(self):
        self.upgrade()
        self.upgrade()
        link, environment = self.machine.link, self.machine.sandbox.environment()
        runners = [Runner(link, environment) for _ in range(RUNNERS)]
        for runner in runners:
            runner.start()
        try:
            while self.kills < KILLS:
                self.chance.choice([self.kill_an_upgrade, self.kill_a_rollback])()
        finally:
            outputs = sum((collections.Counter(runner.finish()) for runner in runners),
                          collections.Counter())
            print(f"counted: {self.kills} kills, {dict(self.told)}, the command run "
                  f"{outputs.total()} times; MCPU_SEED={SEED}")
        whole = {f"demo 1.{minor}.0" for minor in range(1, self.newest + 1)}
        self.assertEqual(set(), set(outputs) - whole, "missing, broken or mixed")
        self.assertGreater(outputs.total(), KILLS, "the command was hardly in use")


if __name__ == "__main__":
    unittest.main()
