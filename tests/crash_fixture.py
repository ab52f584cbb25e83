"""A machine on which the daemon is killed in the middle of a job: a sandbox whose application
migrates its configuration files, mcpctl that starts the daemon on demand and follows its job across
the daemon's death, and the views by which old and new are told apart."""

import collections
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
import unittest

from client_fixture import end_serving
from daemon_fixture import DAEMON, MCPCTL, Sandbox, differences, listing, wait_for

# Moves the settings on to its own version, never back, as applications do when they start.
PROGRAM = """#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/version.sh"
. "$here/../lib/greeting.sh"
[ "$version" = "$greeting_version" ] || { echo "MIXED $version $greeting_version"; exit 70; }
minor=${version#1.}
minor=${minor%.0}
migrate() {
  read -r line < "$HOME/.demo/settings.json"
  found=${line##*: }
  [ "${found%\\}}" -lt "$minor" ] || return 0
  echo "{\\"servers\\": {}, \\"version\\": $minor}" > "$HOME/.demo/settings.json"
  if [ $((minor % 2)) = 1 ]; then echo "{\\"by\\": $minor}" > "$HOME/.demo/extra.json"
  else rm -f "$HOME/.demo/extra.json"; fi
}
case "${1-}" in
  --help)
    migrate
    while [ -e "$HOME/.hold" ]; do sleep 0.02; done  # a scratch home has no such file
    echo "usage: demo" ;;
  status) echo "demo $version: well" ;;
  check) echo "demo $version: checked" ;;
  *) echo "demo $version" ;;
esac
"""

# What stood there before: no release of ours.
EARLIER = "#!/bin/sh\necho earlier\n"

#: So many switches are remembered.
MOST_SWITCHES = 100

#: More records than any job writes to its journal.
MOST_RECORDS = 60

RELEASE_NAME = re.compile(r"1\.\d+\.0-[0-9a-f]{12}")

#: What a person sees: what the command prints (None: there is none), what lies at its place on
#: PATH, and the configuration files.
View = collections.namedtuple("View", "output entry files")

#: One killed job: the number of steps begun and whether the commit was recorded when the daemon
#: died (steps is None without a journal; hit is false when the job ended before), how mcpctl ended
#: and the lines it printed.
Crash = collections.namedtuple("Crash", "hit job steps committed ended status lines")


def files_of(minor):
    """The configuration files as release 1.MINOR.0 leaves them."""
    files = {"settings.json": f'{{"servers": {{}}, "version": {minor}}}\n'}
    if minor % 2:
        files["extra.json"] = f'{{"by": {minor}}}\n'
    return files


def journal_of(state):
    """The number of steps begun and whether there is a commit; (None, False) without a journal."""
    try:
        with open(state / "journal", "rb") as file:
            text = file.read(65536)
    except FileNotFoundError:
        return None, False
    return text.count(b'"record":"step"'), b'"record":"commit"' in text


class Machine:
    """One sandbox. The daemon is whichever mcpctl started. `disk`: where home and state lie."""

    def __init__(self, earlier=None, disk=None):
        self.program = PROGRAM
        self.sandbox = Sandbox(disk=disk)
        self.state = self.sandbox.state
        self.tracers = []
        #: Others run the command all the time: an undone release may stay until they have ended.
        self.command_in_use = False
        self.link = self.sandbox.links / "demo"
        self.sandbox.settings_file.write_text(files_of(0)["settings.json"])
        self.write_configuration()
        if earlier:
            self.link.write_text(earlier)
            self.link.chmod(0o755)

    def close(self):
        end_serving(self.state)
        for tracer in self.tracers:
            tracer.wait(20)  # it ends with its daemon
        self.sandbox.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def write_configuration(self, **changes):
        files = [{"path": f".demo/{name}", "format": "json", "servers": "/servers"}
                 for name in ("settings.json", "extra.json")]
        self.sandbox.write_configuration({"files": files}, **changes)

    def release(self, minor, **files):
        self.sandbox.repository.release(f"1.{minor}.0", {"bin/demo": self.program} | files)

    def mcpctl(self, *arguments):
        done = self.sandbox.mcpctl(*arguments)
        assert done.status == 0, f"{arguments}: {done}\n{self.diagnostics()}"
        return done.stdout

    def diagnostics(self):
        log = self.state / "daemon.log"
        return log.read_text(errors="replace")[-3000:] if log.exists() else ""

    # --- what there is ---

    def view(self):
        if os.path.islink(self.link):
            entry = os.readlink(self.link)
        elif self.link.exists():
            entry = (self.link.read_text(), oct(self.link.stat().st_mode))
        else:
            entry = None
        directory = self.sandbox.settings_file.parent
        files = {path.name: path.read_text() for path in directory.iterdir()}
        output = None
        if entry is not None:
            done = self.sandbox.demo()
            output = done.stdout + done.stderr if done.status == 0 else f"failed: {done}"
        return View(output, entry, files)

    def view_of(self, minor):
        """What there is when release 1.MINOR.0 is current."""
        launcher = str(self.state / "launch" / "demo" / "demo")
        return View(f"demo 1.{minor}.0\n", launcher, files_of(minor))

    def state_listing(self):
        """Of the state directory, without what every start and every job may change."""
        if not self.state.exists():
            return {}
        changing = ("jobs", "lock", "daemon.log", "state.json", "cache", "run", "scratch")
        return listing(self.state, ignore=changing)

    def left_by(self, job, before):
        """What an undone job has changed in the state directory. Its snapshot may stay if it keeps
        the version of a file that the release wrote while the daemon died."""
        layout = {".", "apps", "apps/demo", "apps/demo/releases", "launch", "snapshots"}
        found = [line for line in differences(before, self.state_listing())
                 if line.removeprefix("new: ") not in layout]
        snapshot = self.state / "snapshots" / str(job)
        if any(snapshot.glob("*/found")):
            found = [line for line in found if f" snapshots/{job}" not in line]
        if self.command_in_use:
            found = [line for line in found if " apps/demo/releases/" not in line]
        return found

    def history(self):
        path = self.state / "state.json"
        if not path.exists():
            return []
        return json.loads(path.read_text())["applications"].get("demo", {}).get("history", [])

    def left_over(self):
        """Names that no complete state has: temporary files, half releases, scratch, a journal."""
        found = [name for name in listing(self.state)
                 if re.search(r"(^|/)\.[^/]|\.tmp|(^|/)tmp|^scratch/|^journal", name)]
        releases = self.state / "apps" / "demo" / "releases"
        found += [name for name in (os.listdir(releases) if releases.exists() else [])
                  if not RELEASE_NAME.fullmatch(name)]
        home = {".", ".demo", ".demo/settings.json", ".demo/extra.json", ".local", ".local/bin",
                ".local/bin/demo", ".local/state", ".local/state/mcp-upgraded.lock"}
        return found + sorted(set(listing(self.sandbox.home)) - home)

    def events(self, job):
        text = (self.state / "jobs" / str(job) / "events.ndjson").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def job(self, job):
        jobs = json.loads(self.mcpctl("jobs", "--json"))["jobs"]
        return next(one for one in jobs if one["job"] == job)

    # --- killing ---

    def journal(self):
        return journal_of(self.state)

    def next_job(self):
        jobs = self.state / "jobs"
        return max((int(name) for name in os.listdir(jobs)), default=0) + 1 if jobs.exists() else 1

    def crash(self, arguments, *moments):
        """Runs a job with mcpctl and kills the daemon at each moment(job) that comes true, one
        after the other; mcpctl starts it again each time and follows the job to its end. What is
        returned is how it stood at the last kill. Without a moment the daemon lives."""
        job = self.next_job()
        self.mcpctl("status")  # a daemon is there
        client = self.start_client(arguments)
        steps, committed, ended = None, False, True
        with self.reaped(client):
            hits = 0
            for moment in moments:
                while not (hit := moment(job)) and client.poll() is None:
                    time.sleep(0)
                hits += hit
                steps, committed = self._kill_behind(client)
                ended = self.at_event(b'"last":true')(job)
            status, lines = self.end_of(client)
        self.mcpctl("status")  # who was told the end before the kill has started no daemon
        wait_for(lambda: not (self.state / "journal").exists(),
                 f"the journal's end after {lines[-1:]}\n{self.diagnostics()}")
        return Crash(hits == len(moments), job, steps, committed, ended, status, lines)

    def start_client(self, arguments):
        """Starts mcpctl; followed() tells what it has printed."""
        with open(self.sandbox.root / "followed", "w", encoding="utf-8") as file:
            return subprocess.Popen(
                [MCPCTL, *arguments, "--json", *self.sandbox.instance_arguments()], stdout=file,
                stderr=file, stdin=subprocess.DEVNULL, env=self.sandbox.environment(), cwd="/")

    @staticmethod
    @contextlib.contextmanager
    def reaped(client):
        """No client outlives what is done with it here, however that ends."""
        try:
            yield
        finally:
            client.kill()
            client.wait()

    def end_of(self, client):
        """How mcpctl ended, and what it had printed by then."""
        try:
            status = client.wait(60)
        except subprocess.TimeoutExpired as error:
            told = f"{self.followed()[-3:]}\n{self.diagnostics()}\n{self.last_log_lines()}"
            raise AssertionError(f"mcpctl does not end; it has said {told}") from error
        lines = self.followed()
        assert status in (0, 1), f"mcpctl ended with {status}: {lines[-1:]}\n{self.diagnostics()}"
        return status, lines

    def last_log_lines(self):
        """Of the newest job, as they lie on disk."""
        path = self.state / "jobs" / str(self.next_job() - 1) / "events.ndjson"
        return path.read_text(errors="replace")[-1500:] if path.exists() else "no log"

    def followed(self):
        """The whole lines that the client has printed so far."""
        text = (self.sandbox.root / "followed").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines(keepends=True)
                if line.startswith("{") and line.endswith("\n")]

    def _kill_behind(self, client):
        """Kills the daemon; its client is held until the journal at that moment has been read."""
        client.send_signal(signal.SIGSTOP)
        try:
            end_serving(self.state)
            return self.journal()
        finally:
            client.send_signal(signal.SIGCONT)

    def at_step(self, index):
        return lambda _: (self.journal()[0] or 0) > index

    def at_record(self, number):
        """The moment at which a job has written this record to its journal, counted behind the
        first, and has not synced it: a new daemon, run by strace, stands still there and cannot
        pass it, however slow the machine is."""
        trace = self.trace("-P", self.state / "journal", "-e", "trace=pwrite64",
                           "-e", f"inject=pwrite64:signal=SIGSTOP:when={number}")
        return lambda _: b"stopped by SIGSTOP" in trace.read_bytes()

    def trace(self, *options):
        """A new daemon, run by strace. Returns the file in which strace tells of it."""
        end_serving(self.state)
        trace = self.sandbox.root / f"trace-{len(self.tracers)}"
        command = ["strace", "-f", "-qq", "-o", trace, *options, DAEMON,
                   *self.sandbox.instance_arguments()]
        with open(self.sandbox.root / "traced.log", "ab") as log:
            self.tracers.append(subprocess.Popen(
                command, env=self.sandbox.environment(), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, cwd="/"))
        wait_for(self.serves, "the start of the daemon under strace")
        return trace

    def serves(self):
        with socket.socket(socket.AF_UNIX) as connection:
            return connection.connect_ex(str(self.sandbox.socket)) == 0

    def at_event(self, text):
        def seen(job):
            try:
                with open(self.state / "jobs" / str(job) / "events.ndjson", "rb") as file:
                    return text in file.read()
            except FileNotFoundError:
                return False
        return seen

    def wait_until_idle(self):
        """A job's end is shown before the last of it is tidied: a question that waits its turn."""
        self.sandbox.mcpctl("upgrade", "--dry-run")

    @staticmethod
    def after(seconds):
        end = time.monotonic() + seconds
        return lambda _: time.monotonic() >= end


class CrashTestCase(unittest.TestCase):
    """Kills jobs and judges what is left."""

    maxDiff = None

    def crash_and_judge(self, machine, arguments, new, *moments):
        """Kills one job and asserts everything that must be true afterwards. `new`: the view when
        the job has its way. Returns the crash, and whether it was the new."""
        old, state, history = machine.view(), machine.state_listing(), machine.history()
        crash = machine.crash(arguments, *moments)
        machine.wait_until_idle()
        told = f"{crash.steps} steps, committed: {crash.committed}\n{machine.diagnostics()}"
        done = crash.status == 0
        if crash.steps is not None:
            self.assertEqual(crash.committed, done, told)
        self.assertEqual(new if done else old, machine.view(), told)
        self.assertEqual([], machine.left_over(), told)
        self.assertEqual(min(len(history) + done, MOST_SWITCHES), len(machine.history()), told)
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
        if crash.hit and crash.steps is not None and not crash.ended:
            self.assertIn("recovery.started", [event["id"] for event in events])

    def upgrade_works(self, machine, minor):
        machine.mcpctl("upgrade")
        self.assertEqual(machine.view_of(minor), machine.view())

    def at_each_border(self, steps, attempt):
        """attempt(moment of a machine) kills one job and returns the crash: in each phase before
        there is a journal, and at each record of it, until a job ends before so many. Among those
        must be the beginning of each step, and the commit."""
        for phase in (b"resolve", b"preflight"):
            with self.subTest(phase=phase):
                attempt(lambda machine, phase=phase: machine.at_event(b'"phase":"' + phase))
        found = set()
        for number in range(1, MOST_RECORDS):
            crash = None
            with self.subTest(record=number):
                crash = attempt(lambda machine, number=number: machine.at_record(number))
            if not crash or not crash.hit:
                break
            found.add((crash.steps, crash.committed))
        wanted = {(begun + 1, False) for begun in range(len(steps))} | {(len(steps), True)}
        self.assertEqual(set(), wanted - found, f"borders at which no job was killed: {steps}")
