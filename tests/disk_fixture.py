"""Disks that lose power or run full: a file system of its own on an image file, and a machine whose
state and home lie on it.

A cut is the shutdown ioctl that ext4 and xfs have, without a flush of their log: what is not
durable at that moment is gone, as after a real power cut. Only what a drive itself would lose of
its cache is not told apart.
"""

import atexit
import contextlib
import ctypes
import fcntl
import json
import os
import pathlib
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

from client_fixture import serving_pid
from crash_fixture import PROGRAM, Crash, Machine
from daemon_fixture import children_of, wait_for

SKIPPED = 77
SHUTDOWN = 0x8004587D  # _IOR('X', 125, uint32_t)
NO_LOG_FLUSH = 2
#: xfs takes no less.
IMAGE_BYTES = 320 << 20
#: ext4 writes out the new content of a file that is replaced without a sync, to be kind to
#: programs that forget it. What nobody promises is nothing to rely on.
OPTIONS = {"ext4": "loop,noauto_da_alloc", "xfs": "loop"}
KINDS = tuple(OPTIONS)
CLONE_NEWNS = 0x00020000
#: How long a job stands still at a moment. It is killed there.
HOLD = "60s"


def run(*words):
    """Runs a command; its error output, empty when it succeeded."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)
    return (done.stderr.strip() or f"exit code {done.returncode}") if done.returncode else ""


def main(program):
    """The main of a test program: skipped as a whole where there can be no such disk. Mounts are
    this process's alone: nobody else keeps one busy, and none outlives it."""
    if os.geteuid() != 0:
        sys.exit(_skipped("mounting a disk takes root"))
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        sys.exit(_skipped(f"no mounts of our own: {os.strerror(ctypes.get_errno())}"))
    if problem := run("mount", "--make-rprivate", "/"):
        sys.exit(_skipped(problem))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    program()


def _skipped(reason):
    print(f"skipped: {reason}")
    return SKIPPED


class Disk:
    """One disk, mounted; at close() nothing of it is left. self.problem says why there is none."""

    def __init__(self, kind, image_bytes=IMAGE_BYTES):
        self.kind = kind
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="mcpu-disk-"))
        atexit.register(self.close)  # an interrupted test runs no cleanups
        self.image = self.directory / "image"
        self.top = self.directory / "disk"
        self.top.mkdir()
        self.places = 0
        self.mounted = False
        self.problem = self._make(image_bytes)

    def _make(self, image_bytes):
        with open(self.image, "wb") as image:
            image.truncate(image_bytes)
        make = shutil.which(f"mkfs.{self.kind}", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        if not make:
            return f"mkfs.{self.kind} is not installed"
        return run(make, "-q", self.image) or self.mount()

    def mount(self):
        problem = run("mount", "-t", self.kind, "-o", OPTIONS[self.kind], self.image, self.top)
        self.mounted = not problem
        return problem

    def unmount(self, *options):
        # Not asked with ismount(): a disk without power answers no question.
        self.mounted = self.mounted and bool(run("umount", *options, self.top))
        return not self.mounted

    def users(self):
        """The processes that keep the disk busy: only what this test started can see it."""
        found = set()
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            for name in [process / "cwd", process / "exe", *process.glob("fd/*")]:
                with contextlib.suppress(OSError):
                    if os.readlink(name).startswith(f"{self.top}/"):
                        found.add(int(process.name))
        return found - {os.getpid()}

    def new_place(self):
        """An empty directory for another machine."""
        self.places += 1
        place = self.top / str(self.places)
        place.mkdir()
        return place

    def sync(self):
        """What the test has prepared does not get lost."""
        top = os.open(self.top, os.O_RDONLY)
        try:
            assert ctypes.CDLL(None).syncfs(top) == 0
        finally:
            os.close(top)

    @contextlib.contextmanager
    def filled(self, left_bytes):
        """Full, but for so many bytes."""
        ballast = self.top / "ballast"
        with open(ballast, "wb", buffering=0) as file:
            size = 0
            for piece in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while True:
                        os.posix_fallocate(file.fileno(), size, piece)
                        size += piece
            file.truncate(size - left_bytes)
            os.fsync(file.fileno())
        try:
            yield
        finally:
            ballast.unlink()
            self.sync()

    def cut_power(self):
        top = os.open(self.top, os.O_RDONLY)
        try:
            fcntl.ioctl(top, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(top)

    def power_on(self):
        """Mounts again what the cut left."""
        try:
            wait_for(self.unmount, "umount")
        except AssertionError as error:
            raise AssertionError(f"{error}: the disk is used by {self.users()}") from None
        problem = self.mount()
        assert not problem, f"what the cut left cannot be mounted: {problem}"

    def close(self):
        atexit.unregister(self.close)
        if not self.unmount():
            for user in self.users():  # daemons that a test which failed could not find any more
                end_family(user, ())
            self.unmount("--lazy")
        shutil.rmtree(self.directory, ignore_errors=True)


def family(pid):
    """A process and all that it started, each held still so that it starts no more."""
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGSTOP)
        return [pid, *(each for child in children_of(pid) for each in family(child))]
    return [pid]


def end_family(pid, tracers, seconds=20):
    """Kills a process with all that it started, and waits until they have let go of the disk. What
    stands still under one of the tracers ends with that."""
    with contextlib.ExitStack() as stack:
        waited = []
        for each in family(pid):
            with contextlib.suppress(ProcessLookupError):
                waited.append(os.pidfd_open(each))
                stack.callback(os.close, waited[-1])
                signal.pidfd_send_signal(waited[-1], signal.SIGKILL)
        for tracer in tracers:
            tracer.kill()
            tracer.wait(seconds)
        for process in waited:
            assert select.select([process], [], [], seconds)[0], f"{pid} and its family do not end"


class DiskMachine(Machine):
    """A machine on a disk, with crash() as a power cut: the daemon and its client end with it, and
    a new client asks, after power is back, what has become of the job. cuts: how many so far."""

    cuts = 0

    def __init__(self, disk, earlier=None):
        self.disk = disk
        atexit.register(self.close)
        super().__init__(earlier, disk.new_place())
        disk.sync()
        self.seen = []  # what a client was shown before the last cut
        self.at_boot = lambda job: None  # called when power is back, before any daemon starts

    def close(self):
        atexit.unregister(self.close)
        pid = serving_pid(self.state)
        if pid:
            end_family(pid, self.tracers)
        super().close()

    def crash(self, arguments, *moments):
        job = self.next_job()
        self.mcpctl("status")  # a daemon is there
        hits, self.seen = 0, []
        for moment in moments:
            hits += self._cut_at(moment, job, arguments)
            self.at_boot(job)
            arguments = ["watch", str(job)]
        steps, committed = self.journal()
        ended = self.at_event(b'"last":true')(job)
        status, lines = self._ask_for(job)
        wait_for(lambda: not (self.state / "journal").exists(),
                 f"the journal's end after {lines[-1:]}\n{self.diagnostics()}")
        return Crash(hits == len(moments), job, steps, committed, ended, status, lines)

    def _cut_at(self, moment, job, arguments):
        """Cuts the power at the moment, or at the client's end if that comes first: then the
        moment was not hit."""
        client = self.start_client(arguments)
        with self.reaped(client):
            while not (hit := moment(job)) and client.poll() is None:
                time.sleep(0)
            client.send_signal(signal.SIGSTOP)
            daemon = serving_pid(self.state)
            self.disk.cut_power()
            DiskMachine.cuts += 1
        self.seen = max(self.seen, self.followed(), key=len)
        if daemon:
            end_family(daemon, self.tracers)
        self.disk.power_on()
        return hit

    @contextlib.contextmanager
    def full_from(self, moment, arguments, left_bytes):
        """Runs a job on a disk that fills up, but for so many bytes, at a moment at which it stands
        still. Gives whether it got there, and how mcpctl ended, while the disk is still full."""
        job = self.next_job()
        client = self.start_client(arguments)
        with self.reaped(client):
            while not (hit := moment(job)) and client.poll() is None:
                time.sleep(0)
            with self.disk.filled(left_bytes):
                if hit:
                    os.kill(serving_pid(self.state), signal.SIGCONT)
                yield hit, client.wait(60), self.followed()

    def _ask_for(self, job):
        """How the job ended, and all lines of its log, as a client is told who asks later."""
        if not self.knows(job):
            self.mcpctl("status")
            return 1, []
        client = self.start_client(["watch", str(job)])
        with self.reaped(client):
            return self.end_of(client)

    # Only the calls of interest are traced, which costs a job little; no signal can stop it then.

    def at_unsynced_record(self, number):
        """The moment at which a job has written this record to its journal, counted behind the
        first, and has not begun to sync it. It stands still there."""
        trace = self._hold("fdatasync", "enter", number, "-P", self.state / "journal")
        return lambda _: trace.read_bytes().count(b"fdatasync(") >= number

    def at_synced_record(self, number):
        """The same behind the sync of the record."""
        trace = self._hold("fdatasync", "exit", number, "-P", self.state / "journal")
        return lambda _: b"(DELAYED)" in trace.read_bytes()

    def at_call(self, calls, number):
        """The moment behind so many of these system calls of one thread, which stands still."""
        trace = self._hold(calls, "exit", number)
        return lambda _: b"(DELAYED)" in trace.read_bytes()

    def _hold(self, calls, where, number, *only):
        return self.trace("--seccomp-bpf", "-e", "signal=none", *only, "-e", f"trace={calls}",
                          "-e", f"inject={calls}:delay_{where}={HOLD}:when={number}")

    @staticmethod
    def after(seconds):
        """So many seconds after the job was asked for."""
        end = None

        def over(_):
            nonlocal end
            end = end or time.monotonic() + seconds
            return time.monotonic() >= end
        return over

    def stored(self, job):
        """A job's events as they lie on disk, without one that is torn."""
        text = (self.state / "jobs" / str(job) / "events.ndjson").read_bytes()
        events = []
        for line in text.splitlines(keepends=True):
            with contextlib.suppress(ValueError):
                events.append(json.loads(line))
        return events

    def knows(self, job):
        return (self.state / "jobs" / str(job) / "job.json").exists()
