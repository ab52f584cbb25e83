"""SIGKILL of the daemon at each border of what adopts, leaves and goes back: a first installation,
a rollback, and a rollback to what stood there before. Afterwards there is the old or the new."""

import unittest

from crash_fixture import EARLIER, CrashTestCase, Machine

INSTALL = ["stage", "snapshot", "mid-check", "activate", "entry-points", "post-check",
           "record-after"]
ROLLBACK = ["snapshot", "activate", "restore-configs", "post-check", "record-after"]
BEFORE = ["snapshot", "leave", "restore-configs", "post-check", "record-after"]


class KilledRollbacks(CrashTestCase):
    def test_a_first_installation_killed_at_each_border_leaves_nothing_or_all_of_it(self):
        def attempt(moment):
            with Machine() as machine:
                machine.release(1)
                crash, _ = self.crash_and_judge(machine, ["upgrade"], machine.view_of(1),
                                                moment(machine))
                self.upgrade_works(machine, 1)
                return crash

        self.at_each_border(INSTALL, attempt)

    def test_a_rollback_killed_at_each_border_is_undone_or_done(self):
        with Machine() as machine:
            machine.release(1)
            machine.mcpctl("upgrade")
            current = minor = 1

            def attempt(moment):
                nonlocal current, minor
                earlier, minor = current, minor + 1
                machine.release(minor)
                self.upgrade_works(machine, minor)
                crash, done = self.crash_and_judge(machine, ["rollback"], machine.view_of(earlier),
                                                   moment(machine))
                current = earlier if done else minor
                return crash

            self.at_each_border(ROLLBACK, attempt)

    def test_going_back_to_before_killed_at_each_border_is_undone_or_done(self):
        def attempt(moment):
            with Machine(earlier=EARLIER) as machine:
                before = machine.view()
                machine.release(1)
                self.upgrade_works(machine, 1)
                crash, _ = self.crash_and_judge(machine, ["rollback", "--to", "before"], before,
                                                moment(machine))
                machine.release(2)
                self.upgrade_works(machine, 2)
                return crash

        self.at_each_border(BEFORE, attempt)


if __name__ == "__main__":
    unittest.main()
