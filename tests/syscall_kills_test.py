"""SIGKILL of the daemon at each of its system calls that change a file, in a job and in a recovery,
and of its workers at each of theirs: what is there afterwards is exactly the old or exactly the
new.

An undisturbed run tells which calls there are: pairs of the journal's step and the call with its
path. Each pair is hit at one of its calls. With MCPU_EXHAUSTIVE=1 each of its calls is hit, and
each kill is followed by an upgrade that must work; otherwise the next job shows that, on its way
to its own kill."""

import collections
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

from call_tracer import Tracer, cannot_trace
from client_fixture import end_serving
from crash_fixture import Crash, CrashTestCase, Machine
from daemon_fixture import DAEMON, MCPCTL, SLOWNESS, wait_for

SKIPPED = 77
EXHAUSTIVE = os.environ.get("MCPU_EXHAUSTIVE") == "1"
#: Otherwise: after so many kills one upgrade that is not killed, and of the calls that write the
#: log, which belong to no step, each of so many is hit.
KILLS_FOR_AN_UPGRADE = 4
LOG_CALLS_APART = 6

#: Not every run comes to the same calls: odd and even releases have other files, and events that
#: come at once are written at once.
ATTEMPTS = 6

#: For a job whose worker was killed.
DEADLINE_SECONDS = 20 * SLOWNESS

DAEMON_CALLS = "mcp-upgraded --user"
WORKER_CALLS = "mcp-upgraded-"

#: What differs from run to run in a path, and what stands for it.
PATTERNS = [(re.compile(expression), replacement) for expression, replacement in (
    (r"/tree/.*", "/tree/FILE"),
    (r"1\.\d+\.0-[0-9a-f]{12}(~\d+)?", "RELEASE"),
    (r"\b[0-9a-f]{64}\b", "DIGEST"),
    (r"(?<=/)(\.staging-|\.)?\d+(?=/|$|\.tmp)", r"\1N"),
)]


def site(call, root):
    """The call and its paths, the same in each run."""
    paths = [path.removeprefix(root) for path in call.paths]
    for expression, replacement in PATTERNS:
        paths = [expression.sub(replacement, path) for path in paths]
    return " ".join([call.name, *paths])


def last_record(state):
    """Of the journal: the step that it is about, or its kind; None without a journal."""
    try:
        with open(state / "journal", "rb") as file:
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return None
    records = [json.loads(line[17:]) for line in lines if line[17:18] == b"{"]
    if "index" not in records[-1]:
        return records[-1]["record"]
    return records[0]["plan"]["steps"][records[-1]["index"]]["kind"]


class Watch:
    """Counts the calls that processes of one program make, by step and site, and holds the daemon
    before the one that is wanted: the pair's call of this number."""

    def __init__(self, machine, program=DAEMON_CALLS, wanted=None, number=1):
        self.machine, self.program = machine, program
        self.wanted, self.number = wanted, number
        self.seen = collections.Counter()
        self.reached = threading.Event()
        self.journaled = False

    def step(self, call):
        name = os.path.basename(call.paths[0])
        if name in ("lock", ".socket.new"):
            return "start"
        if name == "events.ndjson":
            return "log"  # by a thread of its own: in which step is chance
        record = last_record(self.machine.state)
        self.journaled = self.journaled or record is not None
        return record or ("end" if self.journaled else "beginning")

    def __call__(self, call):
        if not call.program.startswith(self.program):
            return None
        pair = (self.step(call), site(call, str(self.machine.sandbox.root)))
        self.seen[pair] += 1
        if pair != self.wanted or self.seen[pair] != self.number:
            return None
        self.reached.set()
        return self.hit(call)

    def hit(self, _):
        return Tracer.HOLD

    def comes(self):
        """Waits until the call is reached, or the daemon is idle without it."""
        machine = self.machine
        waiting = subprocess.Popen(
            [MCPCTL, "upgrade", "--dry-run", *machine.sandbox.instance_arguments()], cwd="/",
            env=machine.sandbox.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while waiting.poll() is None and not self.reached.wait(0.01):
            pass
        waiting.kill()
        waiting.wait()
        return self.reached.is_set()

    def moment(self, job):
        """For Machine.crash(). A job's end is told before the last of it is tidied."""
        if self.reached.wait(0.01):
            return True
        return self.machine.at_event(b'"last":true')(job) and self.comes()


class WorkerWatch(Watch):
    """Kills the worker instead; the daemon lives."""

    def hit(self, call):
        os.kill(call.process, signal.SIGKILL)


class TracedMachine(Machine):
    """Its releases have one check: what is killed is not the checks."""

    def __init__(self):
        super().__init__()
        files = self.sandbox.application(files=[
            {"path": f".demo/{name}", "format": "json", "servers": "/servers"}
            for name in ("settings.json", "extra.json")])["files"]
        check = {"arguments": ["--help"], "essential": True, "forbid": ["MIXED"]}
        self.sandbox.write_configuration(
            {"files": files, "checks": [check], "deep_checks": []})
        self.minor = 1
        self.release(1)
        self.mcpctl("upgrade")

    def release_next(self):
        self.minor += 1
        self.release(self.minor)

    def run_traced(self, judge):
        """Starts a daemon."""
        end_serving(self.state)
        for tracer in self.tracers:
            tracer.wait(20)
        self.tracers = [Tracer([DAEMON, *self.sandbox.instance_arguments()],
                               self.sandbox.environment(), judge)]

    def serve_traced(self, watch):
        """The watch sees what the daemon does from its start on, and not the start."""
        serving = threading.Event()
        self.run_traced(lambda call: watch(call) if serving.is_set() else None)
        wait_for(self.serves, "the start of the traced daemon")
        self.mcpctl("status")
        serving.set()


def shared(pairs):
    """Those that are the same whatever the job is: they need not be hit again."""
    steps = () if EXHAUSTIVE else ("start", "beginning", "end", "log")
    return {pair for pair in pairs if pair[0] in steps}


def prunes(pair):
    """What a job prunes depends on those before it: another one like it has nothing to prune."""
    step, call = pair
    return step == "commit" and "/demo/releases" in call


class KilledAtEachCall(CrashTestCase):
    def setUp(self):
        self.machine = TracedMachine()
        self.addCleanup(self.machine.close)
        self.kills = 0
        self.hit = set()
        self.fresh = False  # whether there is a release that is not installed yet

    def hit_each(self, what, attempt, already=()):
        """attempt(pair, number) runs a job and kills it there; it returns its watch."""
        seen = collections.Counter()
        for _ in range(2):
            seen |= attempt(None, 1).seen
        seen = collections.Counter({pair: seen[pair] for pair in seen if not prunes(pair)})
        self.hit, kills = set(), self.kills
        for pair in [one for one in seen if one not in already]:
            for number in self.numbers(pair, seen[pair]):
                with self.subTest(pair=pair, number=number):
                    # Once it is hit, a failure is one of what followed.
                    any(attempt(pair, number).reached.is_set() for _ in range(ATTEMPTS))
        print(f"counted: {what}: {len(seen)} pairs of step and call seen, {len(self.hit)} hit, "
              f"{len(seen.keys() & set(already))} hit before, {self.kills - kills} kills",
              flush=True)
        self.assertEqual(set(), seen.keys() - self.hit - set(already), "never hit")
        return self.hit

    @staticmethod
    def numbers(pair, count):
        if EXHAUSTIVE:
            return range(1, count + 1)
        return range(1, count + 1, LOG_CALLS_APART) if pair[0] == "log" else [1]

    def judged(self, watch, *arguments):
        """Kills a job, and judges what is left; whether it was done."""
        moments = [] if isinstance(watch, WorkerWatch) else [watch.moment]
        try:
            return self.crash_and_judge(self.machine, *arguments, *moments)[1]
        finally:
            self.count(watch)

    def count(self, watch):
        if watch.reached.is_set():
            self.kills += 1
            self.hit.add(watch.wanted)

    # --- jobs ---

    def kill_upgrade(self, watch, *options):
        self.need_release()
        self.machine.serve_traced(watch)
        done = self.judged(watch, ["upgrade", *options], self.machine.view_of(self.machine.minor))
        self.go_on(watch, done)
        return watch, done

    def need_release(self):
        if not self.fresh:
            self.machine.release_next()
        self.fresh = False  # if the judgement fails, whatever comes then is another release

    def go_on(self, watch, done):
        # Where a call was not met, another release is to be tried.
        missed = not watch.reached.is_set()
        if EXHAUSTIVE or missed or self.kills % KILLS_FOR_AN_UPGRADE == 0:
            self.upgrade_works(self.machine, self.machine.minor)
        else:
            self.fresh = not done

    def kill_rollback(self, watch):
        """Each rollback that is done goes back to where the one before came from."""
        machine = self.machine
        machine.serve_traced(watch)
        done = self.judged(watch, ["rollback"], machine.view_of(self.earlier))
        if not done and (EXHAUSTIVE or self.kills % KILLS_FOR_AN_UPGRADE == 0):
            machine.mcpctl("rollback")
            self.assertEqual(machine.view_of(self.earlier), machine.view())
            self.switch()
        elif done:
            self.switch()
        return watch, done

    def switch(self):
        self.current, self.earlier = self.earlier, self.current

    def prepare_rollbacks(self):
        for _ in range(2):
            self.machine.release_next()
            self.upgrade_works(self.machine, self.machine.minor)
        self.current, self.earlier = self.machine.minor, self.machine.minor - 1

    def test_jobs_at_each_call_of_the_daemon(self):
        quick = self.hit_each("upgrade", self.attempt_with(self.kill_upgrade))
        self.hit_each("upgrade --full", self.attempt_with(self.kill_upgrade, "--full"),
                      () if EXHAUSTIVE else quick)
        self.prepare_rollbacks()
        self.hit_each("rollback", self.attempt_with(self.kill_rollback), shared(quick))

    def attempt_with(self, kill_job, *options):
        return lambda pair, number: kill_job(
            Watch(self.machine, DAEMON_CALLS, pair, number), *options)[0]

    # --- workers ---

    def kill_workers(self, what, kill_job):
        def attempt(pair, number):
            watch = WorkerWatch(self.machine, WORKER_CALLS, pair, number)
            begin = time.monotonic()
            _, done = kill_job(watch)
            self.assertLess(time.monotonic() - begin, DEADLINE_SECONDS)
            self.assertNotEqual(watch.reached.is_set(), done, "a job without its worker fails")
            return watch

        self.hit_each(f"{what}, in its workers", attempt)

    def test_upgrades_at_each_call_of_a_worker(self):
        self.kill_workers("upgrade", self.kill_upgrade)

    def test_rollbacks_at_each_call_of_a_worker(self):
        self.prepare_rollbacks()
        self.kill_workers("rollback", self.kill_rollback)

    # --- recoveries ---

    def kill_recovery(self, first, watch):
        """Kills an upgrade at the first pair, and the daemon that recovers it where the watch wants
        it; the next one ends it."""
        machine = self.machine
        self.need_release()
        old, state, history = machine.view(), machine.state_listing(), machine.history()
        job = self.held_upgrade(first)
        committed = machine.journal()[1]
        machine.run_traced(watch)
        # Before anybody asks: mcpctl would start a daemon of its own.
        wait_for(lambda: watch.reached.is_set() or machine.serves(), "the start of the recovery")
        watch.comes()
        machine.tracers[0].kill()  # by its number: it may not have told the lock yet
        self.count(watch)
        status, lines = machine.sandbox.mcpctl_json("watch", str(job))
        machine.wait_until_idle()
        new = machine.view_of(machine.minor)
        self.assertEqual((not committed, new if committed else old), (bool(status), machine.view()))
        self.assertEqual([], machine.left_over())
        self.assertEqual(len(history) + committed, len(machine.history()))
        self.assertEqual([], [] if committed else machine.left_by(job, state))
        self.judge_log(machine, Crash(True, job, 1, committed, False, status, lines), committed)
        self.go_on(watch, committed)
        return watch

    def held_upgrade(self, pair):
        """Kills the daemon in an upgrade; the job's number. Nobody follows it."""
        watch = Watch(self.machine, wanted=pair)
        self.machine.serve_traced(watch)
        job = json.loads(self.machine.mcpctl("upgrade", "--detach", "--json"))["job"]
        self.assertTrue(watch.reached.wait(20), pair)
        end_serving(self.machine.state)
        return job

    def kill_recoveries(self, what, first, already=()):
        return self.hit_each(what, lambda pair, number: self.kill_recovery(
            first, Watch(self.machine, DAEMON_CALLS, pair, number)), already)

    def test_recoveries_at_each_call_of_the_daemon(self):
        finish = self.kill_recoveries("recovery that finishes an upgrade",
                                      ("commit", "unlink /state/.state.json.tmp"))
        self.kill_recoveries("recovery that undoes an upgrade",
                             ("record-after", "fdatasync /state/journal"), shared(finish))


if __name__ == "__main__":
    reason = cannot_trace()
    if reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main()
