"""The power fails in an upgrade, a rollback or a first installation, on real disks: what was not
yet durable is gone. When it is back the command runs before any daemon does, and is the old or the
new; then the job is undone or done, and what a client was shown is still there.

--cuts N, or POWER_CUTS, sets how many cuts at random moments there are on each disk, beside those
at borders: 6 if nothing is said. POWER_SEED makes the choices of an earlier run again."""

import os
import random
import sys
import unittest

import disk_fixture
from client_fixture import end_serving
from crash_fixture import EARLIER, MOST_RECORDS, CrashTestCase
from disk_fixture import Disk, DiskMachine

CUTS = int(os.environ.get("POWER_CUTS", "6"))
SEED = int(os.environ.get("POWER_SEED", random.randrange(2**32)))

#: What changes a disk or makes it durable, and about as many of them as a job's thread makes.
CALLS = "fsync,fdatasync,pwrite64,renameat2,link,symlink,mkdir,rmdir,unlink,fchmodat"
MOST_CALLS = 150
#: About as long as a job takes.
MOST_SECONDS = 1


class PowerCutCase(CrashTestCase):
    """Cuts the power on one kind of disk and judges what is left. A job is cut at each record of
    its journal: on one disk before the record is durable, on the other behind that."""

    KIND = None
    #: The jobs that are cut behind the sync.
    SYNCED = ()

    def setUp(self):
        self.disk = Disk(self.KIND)
        self.addCleanup(self.disk.close)
        if self.disk.problem:
            self.skipTest(f"no {self.KIND} here: {self.disk.problem}")

    def installed(self):
        machine = DiskMachine(self.disk)
        self.addCleanup(machine.close)
        machine.release(1)
        self.upgrade_works(machine, 1)
        return machine

    def cut_and_judge(self, machine, arguments, new, *moments):
        old = machine.view()
        machine.at_boot = lambda job: self.judge_boot(machine, job, old, new)
        return self.crash_and_judge(machine, arguments, new, *moments)

    def judge_boot(self, machine, job, old, new):
        """What there is before any daemon has had a chance to mend it."""
        found = machine.view()
        self.assertIn(found.output, (old.output, new.output))
        if found.output is None:
            self.assertIsNone(found.entry)
        shown = [line["event"] for line in machine.seen if line.get("event")]
        if shown:
            self.assertTrue(machine.knows(job), "a client was told of this job")
            self.assertEqual(shown, machine.stored(job)[:len(shown)], "what was shown is on disk")

    def judge_log(self, machine, crash, done):
        told = [line["result"]["outcome"] for line in machine.seen if line.get("result")]
        self.assertIn(told, ([], ["done" if done else "failed"]), "what a client was told stays so")
        if machine.knows(crash.job):
            super().judge_log(machine, crash, done)

    # --- the jobs ---

    def cut_upgrade(self, machine, minor, moment, *options):
        machine.release(minor)
        crash, _ = self.cut_and_judge(machine, ["upgrade", *options], machine.view_of(minor),
                                      moment(machine))
        self.upgrade_works(machine, minor)
        return crash

    def cut_rollback(self, machine, current, minor, moment):
        """From release 1.MINOR.0, which is installed first, back to the current one. Returns what
        is current then, too."""
        machine.release(minor)
        self.upgrade_works(machine, minor)
        crash, done = self.cut_and_judge(machine, ["rollback"], machine.view_of(current),
                                         moment(machine))
        return crash, current if done else minor

    def cut_installation(self, earlier, moment):
        with DiskMachine(self.disk, earlier) as machine:
            machine.release(1)
            crash, _ = self.cut_and_judge(machine, ["upgrade"], machine.view_of(1), moment(machine))
            self.upgrade_works(machine, 1)
            return crash

    def cut_at_each(self, job, steps, attempt):
        """attempt(number, moment of a machine) cuts the power once and returns the crash: at each
        border, until a job ends before so many, and then at its end. Among those must be each step,
        and either nothing begun or, behind its sync, the commit."""
        border = "at_synced_record" if job in self.SYNCED else "at_unsynced_record"
        found = set()
        for number in range(1, MOST_RECORDS):
            crash = None
            with self.subTest(border=number):
                crash = attempt(number, lambda machine, at=number: getattr(machine, border)(at))
            if not crash or not crash.hit:
                break
            found.add((crash.steps, crash.committed))
        wanted = {(begun, False) for begun in range(1, steps + 1)}
        wanted.add((steps, True) if job in self.SYNCED else (0, False))
        self.assertEqual(set(), wanted - found, "borders at which the power was not cut")


class Cuts:
    def test_an_upgrade_cut_at_each_border_is_undone_or_done(self):
        machine = self.installed()
        self.cut_at_each("upgrade", 6, lambda number, moment: self.cut_upgrade(
            machine, number + 1, moment))

    def test_a_first_installation_cut_at_each_border_leaves_nothing_or_all_of_it(self):
        self.cut_at_each("installation", 7, lambda number, moment: self.cut_installation(
            EARLIER if number % 2 else None, moment))

    def test_a_rollback_cut_at_each_border_is_undone_or_done(self):
        machine, current = self.installed(), 1

        def attempt(number, moment):
            nonlocal current
            crash, current = self.cut_rollback(machine, current, number + 1, moment)
            return crash

        self.cut_at_each("rollback", 5, attempt)

    def test_cuts_at_random_moments_leave_the_old_or_the_new(self):
        chance = random.Random(SEED)
        machine, current = self.installed(), 1
        for minor in range(2, CUTS + 2):
            job = chance.choice(["upgrade", "full upgrade", "rollback", "installation"])
            name, moment = random_moment(chance)
            with self.subTest(seed=SEED, minor=minor, job=job, moment=name):
                if job == "installation":
                    end_serving(machine.state)  # it would keep the disk busy
                    self.cut_installation(chance.choice([None, EARLIER]), moment)
                elif job == "rollback":
                    _, current = self.cut_rollback(machine, current, minor, moment)
                else:
                    self.cut_upgrade(machine, minor, moment, *["--full"] * (job != "upgrade"))
                    current = minor

    def test_a_recovery_that_is_cut_too_is_taken_up_again(self):
        machine = self.installed()
        self.cut_upgrade(machine, 2, lambda machine: machine.at_synced_record(6))
        machine.release(3)
        moments = [machine.at_synced_record(6), machine.at_event(b"recovery.started"),
                   machine.at_event(b"undo.started")]
        self.cut_and_judge(machine, ["upgrade"], machine.view_of(3), *moments)
        self.upgrade_works(machine, 3)

    def test_configuration_files_that_a_check_wrote_are_as_durable_as_the_job(self):
        """The program syncs nothing: what it wrote, the job has looked at and vouches for.
        Release 3 rewrites one file and makes another: each is noted, behind the five steps."""
        ends = {"noted": lambda machine: machine.at_synced_record(7),
                "committed": lambda machine: machine.at_synced_record(9),
                "told": lambda machine: machine.at_event(b'"last":true')}
        for what, moment in ends.items():
            machine = self.installed()
            machine.release(2)
            self.upgrade_works(machine, 2)
            with self.subTest(cut=what):
                machine.release(3)
                self.cut_and_judge(machine, ["upgrade"], machine.view_of(3), moment(machine))
            end_serving(machine.state)


def random_moment(chance):
    """A name for it, and the moment of a machine: at any time, or behind any call of a thread."""
    if chance.random() < 0.5:
        seconds = chance.uniform(0, MOST_SECONDS)
        return f"after {seconds} s", lambda machine: machine.after(seconds)
    number = chance.randint(1, MOST_CALLS)
    return f"behind call {number}", lambda machine: machine.at_call(CALLS, number)


class CutsOnExt4(Cuts, PowerCutCase):
    KIND = "ext4"
    SYNCED = ("full upgrade", "installation")

    def test_a_full_upgrade_cut_at_each_border_is_undone_or_done(self):
        machine = self.installed()
        self.cut_at_each("full upgrade", 7, lambda number, moment: self.cut_upgrade(
            machine, number + 1, moment, "--full"))


class CutsOnXfs(Cuts, PowerCutCase):
    KIND = "xfs"
    SYNCED = ("upgrade", "rollback")


def tearDownModule():
    print(f"counted: the power was cut {DiskMachine.cuts} times")


if __name__ == "__main__":
    if "--cuts" in sys.argv:
        at = sys.argv.index("--cuts")
        CUTS = int(sys.argv[at + 1])
        del sys.argv[at:at + 2]
    disk_fixture.main(unittest.main)
