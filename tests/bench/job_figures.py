"""Jobs of an application whose checks cost nothing: what is left is our own part."""

import os
import re
import shutil
import signal
import subprocess

import naive
from applications import Bench, scratch, wait_for
from figures import Figure, Poll, interleave, median, size_on_disk, skipped, spread, timed

SYNCS = "fsync,fdatasync,syncfs,sync,msync"


def own_parts(runs):
    """Quick, full and rollback from the request to the result, over an open connection."""
    with Bench() as bench, scratch(bench, "naive") as place:
        bench.upgrade()
        source = place / "source"
        shutil.copytree(bench.repository.path, source, ignore=shutil.ignore_patterns(".git"))

        def upgrade(mode):
            bench.next_release()
            return bench.upgrade(mode)[2]

        def rollback():
            return bench.rollback()[2]

        def quick_and_back():
            return upgrade("quick"), rollback()

        both, full, copied, switched, hashed = interleave(
            runs, quick_and_back, lambda: upgrade("full"),
            lambda: timed(lambda: naive.copy_and_switch(source, place)),
            lambda: timed(lambda: naive.switch_link(source, place / "back")),
            lambda: timed(lambda: naive.hash_tree(source)))
    quick, back = [one[0] for one in both], [one[1] for one in both]
    copy, hashing = median(copied), median(hashed)
    return [
        own("quick upgrade, own part", quick, copy, "cp -a, sync, rename", "< 30 ms, < 2 x",
            median(quick) < 30 and median(quick) < 2 * copy),
        own("full upgrade, own part", full, copy, "cp -a, sync, rename", "", None),
        own("rollback, own part", back, median(switched), "switch a link, synced",
            f"< 10 ms + {hashing:.1f} ms of hashing", median(back) < 10 + hashing),
    ]


def own(name, values, other, way, goal, met):
    return Figure(name, median(values), "ms", other, way, goal, met, len(values), spread(values))


def phases(runs):
    """Where a quick upgrade spends its time, by the times of its events: a note, not a goal."""
    collected = {}
    with Bench() as bench:
        bench.upgrade()
        for _ in range(runs):
            bench.next_release()
            events, _, _ = bench.upgrade()
            for phase, milliseconds in by_phase(events):
                collected.setdefault(phase, []).append(milliseconds)
    text = ", ".join(f"{phase} {median(values):.1f}" for phase, values in collected.items())
    return [Figure("quick upgrade, by phase", sum(map(median, collected.values())), "ms",
                   runs=runs, note=text)]


def seconds_of(event):
    hours, minutes, seconds = event["time"][11:-1].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def by_phase(events):
    begin, phase = seconds_of(events[0]), events[0]["phase"]
    for event in events[1:]:
        if event["phase"] != phase or event.get("last"):
            now = seconds_of(event)
            yield phase, (now - begin) * 1000
            begin, phase = now, event["phase"]


def without_command(runs):
    """Runs the command all the time while it is upgraded and rolled back."""
    with Bench() as bench:
        bench.upgrade()
        link = str(bench.sandbox.links / "demo")

        def works():
            try:
                pid = os.posix_spawn(link, [link], {})
            except OSError:
                return False
            return os.waitpid(pid, 0)[1] == 0

        with Poll(works) as poll:
            for mode in ["quick", "full"] * runs:
                bench.next_release()
                bench.upgrade(mode)
                bench.rollback()
    return [Figure("time without a runnable command", poll.down_ms, "ms", goal="none",
                   met=poll.down_ms == 0, runs=4 * runs,
                   note=f"{poll.looks} starts during {4 * runs} switches")]


def disk_left(_):
    """What a quick and a full upgrade leave beside the release itself."""
    rows = []
    with Bench() as bench:
        bench.upgrade()
        for mode, script in (("quick", 36), ("full", 56)):
            releases = bench.sandbox.state / "apps/demo/releases"
            bench.settle()
            before, entries = size_on_disk(bench.sandbox.state, {releases})
            bench.next_release()
            bench.upgrade(mode)
            bench.settle()
            after, more = size_on_disk(bench.sandbox.state, {releases})
            left = (after - before) / 1024
            rows.append(Figure(f"disk a {mode} upgrade leaves", left, "KB", goal="< 1024 KB",
                               met=left < 1024, runs=1,
                               note=f"{more - entries} entries; the script left {script} KB of one "
                                    "copy and a log"))
    return rows


def syncs(_, at_most=None):
    """How often a quick job waits for the disk: attaches strace to the daemon and its children."""
    name, goal = "syncs of a quick upgrade", f"<= {at_most}" if at_most is not None else ""
    if not shutil.which("strace"):
        return [skipped(name, "strace is not installed", goal)]
    with Bench() as bench:
        bench.upgrade()
        bench.next_release()
        trace = bench.sandbox.root / "trace"
        tracer = subprocess.Popen(
            ["strace", "-f", "-e", f"trace={SYNCS}", "-o", trace, "-p", str(bench.daemon.pid)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            if "attached" not in tracer.stderr.readline():
                return [skipped(name, "strace may not attach here", goal)]
            # It says so of the first thread; the others follow at once.
            threads = os.listdir(f"/proc/{bench.daemon.pid}/task")
            wait_for(lambda: all(traced(bench.daemon.pid, one) for one in threads), "strace")
            bench.upgrade()
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait()
            tracer.stderr.close()
        calls = re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.M)
    kinds = ", ".join(f"{calls.count(kind)} {kind}" for kind in sorted(set(calls)))
    return [Figure(name, len(calls), "", goal=goal,
                   met=None if at_most is None else len(calls) <= at_most, runs=1, note=kinds)]


def traced(pid, thread):
    try:
        with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as file:
            return "TracerPid:\t0\n" not in file.read()
    except OSError:
        return True
