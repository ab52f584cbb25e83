"""Figures and how they are taken: medians of interleaved runs, each beside the naive way."""

import dataclasses
import os
import pathlib
import statistics
import threading
import time


@dataclasses.dataclass
class Figure:
    """One row of the table. `naive` is None where there is no other way to compare with; `met` is
    None where a goal is missing or cannot be judged; `skipped` says why nothing was measured."""

    name: str
    value: float | None = None
    unit: str = "ms"
    naive: float | None = None
    naive_way: str = ""
    goal: str = ""
    met: bool | None = None
    runs: int = 0
    spread: float | None = None
    note: str = ""
    skipped: str = ""

    @property
    def ratio(self):
        if self.value is None or not self.naive:
            return None
        return self.value / self.naive


def skipped(name, reason, goal=""):
    return Figure(name, goal=goal, skipped=reason)


def interleave(runs, *ways):
    """Runs all ways in turn, `runs` times, and returns a list of results for each. Each second
    round goes backwards, so that none always follows the same other one."""
    results = [[] for _ in ways]
    order = list(range(len(ways)))
    for number in range(runs):
        for index in order if number % 2 == 0 else reversed(order):
            results[index].append(ways[index]())
    return results


def timed(action):
    """Milliseconds of one call."""
    begin = time.perf_counter()
    action()
    return (time.perf_counter() - begin) * 1000


def median(values):
    return statistics.median(values)


def spread(values):
    """Half the distance between the quartiles."""
    if len(values) < 4:
        return (max(values) - min(values)) / 2
    low, _, high = statistics.quantiles(values, n=4)
    return (high - low) / 2


def status_kilobytes(pid, key):
    """A figure of /proc/PID/status; None once the process is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return None


def children(pid):
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                found += [int(word) for word in file.read().split()]
    except OSError:
        pass
    return found


class WorkerWatch:
    """Looks at the daemon's workers all the time and keeps the peak of the resident set of each
    kind. A worker that ends between two looks may have grown a little more unseen: a look takes a
    fraction of a millisecond."""

    def __init__(self, pid):
        self.pid = pid
        self.peaks = {}
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def _watch(self):
        while not self.ended.is_set():
            for child in children(self.pid):
                self._look(child)
            time.sleep(0.0002)

    def _look(self, child):
        try:
            program, *arguments = pathlib.Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            # Until it has executed, a child is still the daemon.
            if os.path.basename(os.readlink(f"/proc/{child}/exe")).startswith("mcp-upgraded-"):
                kind = b" ".join([os.path.basename(program), *arguments]).decode().strip()
                if not kind.startswith("mcp-upgraded-"):
                    return
                peak = status_kilobytes(child, "VmHWM") or 0
                self.peaks[kind] = max(self.peaks.get(kind, 0), peak)
        except OSError:
            pass


class Poll:
    """Asks in a loop, until it ends, whether a command can be run; adds up for how long not. What
    lies between the last success before and the first after a failure counts as down."""

    def __init__(self, works, pause_seconds=0.0):
        self.works = works
        self.pause_seconds = pause_seconds
        self.down_ms = 0.0
        self.looks = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def _run(self):
        last_good = time.perf_counter()
        down = False
        while not self.ended.is_set():
            begin = time.perf_counter()
            if self.works():
                if down:
                    self.down_ms += (begin - last_good) * 1000
                last_good, down = begin, False
            else:
                down = True
            self.looks += 1
            if self.pause_seconds:
                time.sleep(self.pause_seconds)


def size_on_disk(path, without=()):
    """Bytes that a directory takes on the disk, each file once, and how many entries it has."""
    total, entries, seen = 0, 0, set()
    for directory, names, files in os.walk(path):
        if pathlib.Path(directory) in without:
            names.clear()
            continue
        for name in [".", *files]:
            info = os.lstat(os.path.join(directory, name))
            if (info.st_dev, info.st_ino) not in seen:
                seen.add((info.st_dev, info.st_ino))
                total += info.st_blocks * 512
                entries += 1
    return total, entries
