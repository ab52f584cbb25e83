"""A disk with room for only so many kilobytes more, before a job and in the middle of it: the job
fails and is undone while the disk is still full, whoever asked is told why, and when there is room
again the next upgrade works. State and home lie on that disk.

The room is taken away at the first record of the journal, behind the preflight, which refuses a job
that has no room: any number of kilobytes may be left by somebody else's writing then."""

import random
import unittest

import disk_fixture
from client_fixture import end_serving
from crash_fixture import MOST_RECORDS, CrashTestCase
from disk_fixture import Disk, DiskMachine

DISK_BYTES = 48 << 20
BLOCK_BYTES = 4096
#: More than any job here needs beside its journal.
ENOUGH_BYTES = 512 << 10
#: A release large enough that there are many ways to have too little room for it.
DATA_BYTES = 40 << 10
ADVICE = "free some"


class FullDisk(CrashTestCase):
    made = 0

    def setUp(self):
        self.disk = Disk("ext4", DISK_BYTES)
        self.addCleanup(self.disk.close)
        if self.disk.problem:
            self.skipTest(f"no ext4 here: {self.disk.problem}")
        self.machine = DiskMachine(self.disk)
        self.addCleanup(self.machine.close)
        self.machine.write_configuration(limits={"quick_free_bytes": 0, "full_free_bytes": 0})
        self.minor, self.hit = 0, False
        self.upgrade_to_next()

    def next_release(self):
        self.minor += 1
        self.machine.release(self.minor, data=random.randbytes(DATA_BYTES))
        return self.machine.view_of(self.minor)

    def upgrade_to_next(self):
        """With room everything works, and nothing is left of what there was no room for."""
        self.next_release()
        self.upgrade_works(self.machine, self.minor)
        self.assertEqual([], self.machine.left_over())

    def fill_and_judge(self, number, left_bytes, arguments, new):
        """Leaves so much room from this record of the job's journal on. self.hit: whether the job
        got there. Returns mcpctl's exit code."""
        machine = self.machine
        old, state, job = machine.view(), machine.state_listing(), machine.next_job()
        moment = machine.at_record(number)
        with machine.full_from(moment, arguments, left_bytes) as (self.hit, status, lines):
            if self.hit:
                FullDisk.made += 1
                self.judge_full(old, new, state, job, status, lines)
        if not self.hit:
            end_serving(machine.state)  # or the next job would stand still at that record
        return status

    def judge_full(self, old, new, state, job, status, lines):
        """What there is while the disk is full. Behind its commit a job stays done: what is left of
        it needs room, and mcpctl says so."""
        machine = self.machine
        told = f"{lines[-1:]}\n{machine.diagnostics()}"
        committed = status == 0 or machine.journal()[1]
        self.assertIn(status, (0, 6) if committed else (1,), told)
        self.assertEqual(new if committed else old, machine.view(), told)
        if not committed:
            self.assertEqual([], machine.left_over(), told)
            self.assertEqual([], machine.left_by(job, state), told)
        [result] = [line["result"] for line in lines if line.get("result")]
        if status:
            self.assertIn("No space left on device", result["message"])
            self.assertIn(ADVICE, result["message"])

    def test_too_little_room_before_an_upgrade_refuses_it(self):
        old, state = self.machine.view(), self.machine.state_listing()
        new = self.next_release()
        for left in (0, 4, 8, 12, 16, 32, 64, 256, 1024):
            with self.subTest(left=left), self.disk.filled(left << 10):
                job = self.machine.next_job()
                done = self.machine.sandbox.mcpctl("upgrade")
                FullDisk.made += 1
                self.assertEqual(1, done.status, done)
                self.assertIn(ADVICE, done.stdout + done.stderr)
                self.assertEqual(old, self.machine.view())
                self.assertEqual([], self.machine.left_by(job, state))
        self.machine.mcpctl("upgrade")
        self.assertEqual(new, self.machine.view())

    def test_an_upgrade_is_done_or_undone_whatever_room_is_left(self):
        status = None
        for left in range(0, ENOUGH_BYTES, BLOCK_BYTES):
            new = self.next_release()
            with self.subTest(left_bytes=left):
                status = self.fill_and_judge(1, left, ["upgrade"], new)
                self.assertTrue(self.hit)
            self.upgrade_to_next()
            if status == 0:
                break
        self.assertEqual(0, status, "there never was enough room")

    def fill_at_each_border(self, arguments, prepare):
        """Until a job ends before so many. prepare() returns the view when the job has its way."""
        for number in range(1, MOST_RECORDS):
            new = prepare()
            with self.subTest(border=number):
                self.fill_and_judge(number, 0, arguments, new)
            self.upgrade_to_next()
            if not self.hit:
                break

    def test_a_disk_without_a_byte_from_any_border_of_an_upgrade_on_undoes_it(self):
        self.fill_at_each_border(["upgrade"], self.next_release)

    def test_a_disk_without_a_byte_from_any_border_of_a_rollback_on_undoes_it(self):
        def prepare():
            earlier = self.machine.view_of(self.minor)
            self.upgrade_to_next()
            return earlier

        self.fill_at_each_border(["rollback"], prepare)

    def test_a_daemon_that_starts_on_a_full_disk_answers_and_tells_what_to_do(self):
        old = self.machine.view()
        self.next_release()
        end_serving(self.machine.state)
        with self.disk.filled(0):
            FullDisk.made += 1
            self.machine.mcpctl("status")
            done = self.machine.sandbox.mcpctl("upgrade")
            self.assertEqual(1, done.status, done)
            self.assertIn(ADVICE, done.stdout)
            self.assertEqual(old, self.machine.view())
            # The job's result is told, whether or not what the start gave back had room for it.
            done = self.machine.sandbox.mcpctl("status")
            self.assertIn(done.status, (0, 6), done)
            self.assertIn(ADVICE, done.stdout)
        self.upgrade_to_next()
        self.machine.mcpctl("status")


def tearDownModule():
    print(f"counted: a disk without room {FullDisk.made} times")


if __name__ == "__main__":
    disk_fixture.main(unittest.main)
