"""The daemon itself: its start, its memory, the launcher, and watchers by the hundred."""

import os
import socket
import subprocess
import time

import naive
from applications import DAEMON, Bench
from caller import Crowd
from figures import Figure, WorkerWatch, interleave, median, spread, timed
from git_http_fixture import GitServer
from job_figures import seconds_of
from stage_figures import memory_rows

WATCHERS = 100


def spawn_and_wait(program, arguments=()):
    pid = os.posix_spawn(program, [program, *arguments], {"PATH": "/usr/bin:/bin"})
    if os.waitpid(pid, 0)[1] != 0:
        raise AssertionError(f"{program} failed")


def start(runs):
    """From fork to READY=1, over a state with history in it."""
    with Bench() as bench:
        bench.upgrade()
        bench.daemon.stop()
        name = str(bench.sandbox.root / "ready")
        arguments = [str(DAEMON), *bench.sandbox.instance_arguments()]
        environment = bench.sandbox.environment() | {"NOTIFY_SOCKET": name}
        null = os.open("/dev/null", os.O_RDWR)
        quiet = [(os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, null, 2)]

        def ready():
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
                notices.bind(name)
                notices.settimeout(20)
                begin = time.perf_counter()
                pid = os.posix_spawn(str(DAEMON), arguments, environment, file_actions=quiet)
                while b"READY=1" not in notices.recv(4096):
                    pass
                milliseconds = (time.perf_counter() - begin) * 1000
            os.unlink(name)
            os.kill(pid, 15)
            os.waitpid(pid, 0)
            return milliseconds

        ours, other = interleave(runs, ready, lambda: timed(lambda: spawn_and_wait("/bin/true")))
        os.close(null)
    return [Figure("daemon start to ready", median(ours), "ms", median(other), "start /bin/true",
                   "< 15 ms", median(ours) < 15, runs, spread(ours))]


def launcher(runs):
    """What an entry point costs more than its program, and what the least of all programs costs
    that executes another."""
    with Bench() as bench:
        bench.upgrade()
        link, program = str(bench.sandbox.links / "demo"), str(bench.tree() / "bin/demo")
        least = naive.least_launcher(bench.sandbox.root, program)
        through, least_way, direct = interleave(
            runs * 40, *[lambda path=path: timed(lambda: spawn_and_wait(path))
                         for path in (link, least, program)])
    differences = [one - other for one, other in zip(through, direct)]
    least_more = median([one - other for one, other in zip(least_way, direct)])
    more = median(differences)
    return [Figure("launcher, added to a start", more, "ms", least_more,
                   "a static program of one line, execv", "< 0.6 ms", more < 0.6, runs * 40,
                   spread(differences), note=f"the program itself {median(direct):.2f} ms")]


def memory(runs):
    """Peaks during small upgrades and rollbacks, and during a clone over HTTP."""
    with Bench() as bench, WorkerWatch(bench.daemon.pid) as workers:
        bench.upgrade()
        for _ in range(runs):
            bench.next_release()
            bench.upgrade("full")
            bench.rollback()
        rows = memory_rows("small upgrade", bench.daemon.memory_kilobytes() / 1024, workers.peaks)
    return rows + clone_memory()


def clone_memory():
    with Bench(500, 14_500, 10) as bench, GitServer(bench.repository.path.parent) as server:
        with WorkerWatch(bench.daemon.pid) as workers:
            events, _, milliseconds = bench.upgrade(**{"from": server.url("demo/.git")})
            peak = bench.daemon.memory_kilobytes() / 1024
        assert any(event["id"] == "source.cloned" for event in events), "nothing was cloned"
        begin = time.perf_counter()
        subprocess.run(["git", "clone", "--quiet", server.url("demo/.git"),
                        bench.sandbox.root / "clone"], check=True)
        naive = (time.perf_counter() - begin) * 1000
    rows = memory_rows("clone over HTTP", peak, workers.peaks)
    return rows + [Figure("install from a clone over HTTP, 7 MB", milliseconds, "ms", naive,
                          "git clone, not synced", runs=1)]


def watchers(runs, brief=False):
    """One job with a thousand checks (`brief`: some hundred), whose events come in a burst, without
    and with watchers; and its log read again by all of them at once."""
    checks = 300 if brief else 1_000
    specs = [{"arguments": [str(number)], "essential": number == 0} for number in range(checks)]
    alone, watched, live, again = [], [], [], []
    with Bench(application={"checks": specs}) as bench:
        bench.upgrade()
        for _ in range(runs):
            bench.next_release()
            events = bench.upgrade()[0]
            alone.append(job_time(events))
            bench.next_release()
            # The same job has the same events: after this one the burst is over.
            end = max(event["number"] for event in events if event["phase"] == "mid-check")
            time_of_job, rate = watched_job(bench, checks, end)
            watched.append(time_of_job)
            live.append(rate)
            again.append(read_again(bench))
        plain = plain_sockets(bench, checks)
    slower = median(watched) / median(alone)
    return [
        Figure(f"events to {WATCHERS} watchers, live", median(live), "per s", plain,
               "the same bytes through plain sockets", "> 100,000", median(live) > 100_000, runs,
               spread(live)),
        Figure(f"events to {WATCHERS} watchers, read again", median(again), "per s", plain,
               "the same bytes through plain sockets", runs=runs, spread=spread(again)),
        Figure(f"that job, with {WATCHERS} watchers", median(watched), "ms", median(alone),
               "without watchers", "not slowed", slower < 1.1, runs, spread(watched)),
    ]


def job_time(events):
    return (seconds_of(events[-1]) - seconds_of(events[0])) * 1000


def watched_job(bench, checks, goal):
    """The job's milliseconds, and how many events a second reached the watchers, counted from the
    burst's first event until every watcher had its last, which is the job's `goal`th."""
    crowd = Crowd(bench.sandbox.socket, WATCHERS)
    try:
        crowd.call(follow=True)
        bench.connection.call("Jobs", limit=1)
        crowd.start_counting(goal)
        events, _, _ = bench.upgrade()
        crowd.wait()
    finally:
        crowd.close()
    begin = next(seconds_of(event) for event in events if event["id"] == "check.passed")
    end = crowd.reached % 86400
    return job_time(events), WATCHERS * checks / (end - begin)


def log_of(bench, job):
    bench.connection.send("Watch", more=True, job=job)
    frames = []
    while True:
        frames.append(bench.connection.frame())
        if not frames[-1].get("continues"):
            return frames[:-1]


def read_again(bench):
    job = bench.connection.call("Jobs", limit=1)["jobs"][0]["job"]
    goal = len(log_of(bench, job))
    crowd = Crowd(bench.sandbox.socket, WATCHERS)
    try:
        begin = time.time()
        crowd.call(job=job)
        crowd.count(goal)
    finally:
        crowd.close()
    return WATCHERS * goal / (crowd.reached - begin)


def plain_sockets(bench, checks):
    """The same number of frames as long, written by one thread and counted by another."""
    frame = b"x" * 320 + b"\0"
    crowd = Crowd.__new__(Crowd)
    pairs = [socket.socketpair() for _ in range(WATCHERS)]
    crowd.sockets = [reader for reader, _ in pairs]
    crowd.counts, crowd.bytes, crowd.reached = [0] * WATCHERS, 0, None
    begin = time.time()
    crowd.start_counting(checks)
    for first in range(0, checks, 50):
        for _, writer in pairs:
            writer.sendall(frame * min(50, checks - first))
    crowd.wait()
    for reader, writer in pairs:
        reader.close()
        writer.close()
    return WATCHERS * checks / (crowd.reached - begin)
