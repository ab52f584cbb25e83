"""Staging a large release of which little changed."""

import shutil

import naive
from applications import Bench, LARGE_BYTES, LARGE_CHANGED, LARGE_FILES, scratch
from figures import Figure, WorkerWatch, interleave, median, skipped, spread, timed
from job_figures import by_phase


def staging(runs):
    """The stage phase, and all from the request to the result; memory comes as a by-catch."""
    with Bench(LARGE_FILES, LARGE_BYTES, LARGE_CHANGED) as bench, \
            scratch(bench, "naive") as place, WorkerWatch(bench.daemon.pid) as workers:
        bench.upgrade()
        before = bench.tree()

        def ours():
            bench.next_release()
            events, _, milliseconds = bench.upgrade()
            spent = dict(by_phase(events))
            return spent["stage"], milliseconds, spent["resolve"]

        def copied():
            shutil.rmtree(place / "copy", ignore_errors=True)
            return timed(lambda: naive.copy_synced(bench.tree(), place / "copy"))

        def shared():
            shutil.rmtree(place / "shared", ignore_errors=True)
            return timed(lambda: naive.rsync_synced(bench.repository.path / "lib",
                                                    place / "shared", before / "lib"))

        ways = [ours, copied] + ([shared] if shutil.which("rsync") else [])
        results = interleave(runs, *ways)
        daemon_peak = bench.daemon.memory_kilobytes() / 1024
    stage, whole, resolve = ([one[part] for one in results[0]] for part in range(3))
    copy = median(results[1])
    name = f"stage {LARGE_FILES} files, 77 MB, {LARGE_CHANGED} changed"
    rows = [
        Figure(name, median(stage), "ms", copy, "cp -a, synced", "< 600 ms", median(stage) < 600,
               runs, spread(stage)),
        rsync_row(name, stage, results[2:], runs),
        Figure("the same, request to result", median(whole), "ms", copy, "cp -a, synced",
               runs=runs, spread=spread(whole), note=f"of it resolving {median(resolve):.0f} ms"),
    ]
    return rows + memory_rows("large upgrade", daemon_peak, workers.peaks)


def rsync_row(name, stage, shared, runs):
    way = "rsync --link-dest, synced"
    if not shared:
        return skipped(f"{name}, beside rsync", "rsync is not installed")
    return Figure(f"{name}, again", median(stage), "ms", median(shared[0]), way, runs=runs)


def memory_rows(job, daemon_megabytes, peaks):
    """Peaks of the resident sets during one kind of job."""
    rows = [Figure(f"peak memory, {job}: daemon", daemon_megabytes, "MB", goal="< 10 MB",
                   met=daemon_megabytes < 10)]
    for kind, kilobytes in sorted(peaks.items()):
        megabytes = kilobytes / 1024
        rows.append(Figure(f"peak memory, {job}: {kind}", megabytes, "MB",
                           goal="< 16 MB + largest file", met=megabytes < 16))
    return rows
