"""SIGKILL of the daemon at each border of each kind of job: what is there afterwards is exactly the
old or exactly the new, the log says which, and whoever was watching missed nothing."""

import random
import unittest

from crash_fixture import EARLIER, Machine

QUICK = ["stage", "snapshot", "mid-check", "activate", "post-check", "record-after"]
FULL = QUICK[:-1] + ["stale", "record-after"]
INSTALL = QUICK[:4] + ["entry-points"] + QUICK[4:]
ROLLBACK = ["snapshot", "activate", "restore-configs", "post-check", "record-after"]
BEFORE = ["snapshot", "leave", "restore-configs", "post-check", "record-after"]

#: How often a border is tried again that the job had passed before it was seen.
ATTEMPTS = 6


class Recovery(unittest.TestCase):
    maxDiff = None

    def crash_and_judge(self, machine, arguments, new, moment):
        """Kills one job and asserts everything that must be true afterwards. `new`: the view when
        the job has its way. Returns the crash, and whether it was the new."""
        old, state, history = machine.view(), machine.state_listing(), machine.history()
        crash = machine.crash(arguments, moment)
        told = f"{crash.steps} steps, committed: {crash.committed}\n{machine.diagnostics()}"
        done = crash.status == 0
        self.assertIn(crash.status, (0, 1), told)
        if crash.steps is not None:
            self.assertEqual(crash.committed, done, told)
        self.assertEqual(new if done else old, machine.view(), told)
        self.assertEqual([], machine.left_over(), told)
        self.assertEqual(len(history) + done, len(machine.history()), told)
        if not done:
            self.assertEqual([], machine.left_by(crash.job, state), told)
        self.judge_log(machine, crash, done)
        return crash, done

    def judge_log(self, machine, crash, done):
        events = machine.events(crash.job)
        self.assertEqual(list(range(1, len(events) + 1)), [event["number"] for event in events])
        self.assertEqual([events[-1]["number"]],
                         [event["number"] for event in events if event.get("last")])
        followed = [line["event"] for line in crash.lines if line.get("event")]
        self.assertEqual(events, followed, "each event was shown once, in order")
        record = machine.job(crash.job)
        self.assertEqual(("finished", "done" if done else "failed"),
                         (record["state"], record["outcome"]))
        results = [line["result"] for line in crash.lines if line.get("result")]
        self.assertEqual([record["outcome"]], [result["outcome"] for result in results])
        self.assertTrue(record["message"])
        if crash.hit and crash.steps is not None:
            self.assertIn("recovery.started", [event["id"] for event in events])

    def upgrade_works(self, machine, minor):
        machine.mcpctl("upgrade")
        self.assertEqual(machine.view_of(minor), machine.view())

    def at_each_border(self, steps, attempt):
        """attempt(border, moment of a machine) kills once and returns the crash; each border is
        tried until the daemon died just there."""
        borders = [("resolve", lambda machine: machine.at_event(b'"phase":"resolve"'), None),
                   ("preflight", lambda machine: machine.at_event(b'"phase":"preflight"'), None)]
        borders += [(name, lambda machine, i=i: machine.at_step(i), (i + 1, False))
                    for i, name in enumerate(steps)]
        borders += [("commit", lambda machine: machine.at_commit(), (len(steps), True))]
        for name, moment, wanted in borders:
            with self.subTest(border=name):
                for _ in range(ATTEMPTS):
                    crash = attempt(moment)
                    if crash.hit and wanted in (None, (crash.steps, crash.committed)):
                        break
                else:
                    self.fail(f"no kill hit the border {name}")

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


if __name__ == "__main__":
    unittest.main()
