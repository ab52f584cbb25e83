"""Staging a large release of which little changed."""

import shutil

import naive
from applications import Bench, LARGE_BYTES, LARGE_CHANGED, LARGE_FILES, scratch
from figures import Figure, WorkerWatch, median, skipped, spread, timed
from job_figures import by_phase


def staging(runs, brief=False):
    """The stage phase, and all from the request to the result; then once more for the memory.
    `brief` takes a fifth of the application, and judges nothing by it."""
    count, changed = ((LARGE_FILES // 5, LARGE_CHANGED // 5) if brief
                      else (LARGE_FILES, LARGE_CHANGED))
    with Bench(count, LARGE_BYTES, changed) as bench, \
            scratch(bench, "naive") as place:
        bench.upgrade()
        files = bench.repository.path / "lib"
        has_rsync = shutil.which("rsync") is not None
        shutil.copytree(files, place / "0")

        def ours():
            events, _, milliseconds = bench.upgrade()
            spent = dict(by_phase(events))
            return spent["stage"], milliseconds, spent["resolve"]

        def one_round(number):
            bench.next_release()
            copied = timed(lambda: naive.copy_synced(files, place / "copy"))
            shutil.rmtree(place / "copy")
            shared = timed(lambda: naive.rsync_synced(
                files, place / f"{number + 1}", place / f"{number}")) if has_rsync else None
            return *ours(), copied, shared

        rounds = [one_round(number) for number in range(runs)]
        bench.next_release()
        with WorkerWatch(bench.daemon.pid) as workers:
            bench.upgrade()
        daemon_peak = bench.daemon.memory_kilobytes() / 1024
    stage, whole, resolve, copied, shared = zip(*rounds)
    copy = median(copied)
    megabytes = count * LARGE_BYTES // 1_000_000
    name = f"stage {count} files, {megabytes} MB, {changed} changed"
    return [
        Figure(name, median(stage), "ms", copy, "cp -a, synced",
               "" if brief else "< 600 ms", None if brief else median(stage) < 600, runs,
               spread(stage)),
        rsync_row(name, stage, shared if has_rsync else None, runs),
        Figure("the same, request to result", median(whole), "ms", copy, "cp -a, synced",
               runs=runs, spread=spread(whole), note=f"of it resolving {median(resolve):.0f} ms"),
        *memory_rows("large upgrade", daemon_peak, workers.peaks),
    ]


def rsync_row(name, stage, shared, runs):
    way = "rsync --link-dest, synced"
    if not shared:
        return skipped(f"{name}, beside rsync", "rsync is not installed")
    return Figure(f"{name}, again", median(stage), "ms", median(shared), way, runs=runs)


def memory_rows(job, daemon_megabytes, peaks):
    """Peaks of the resident sets during one kind of job."""
    rows = [Figure(f"peak memory, {job}: daemon", daemon_megabytes, "MB", goal="< 10 MB",
                   met=daemon_megabytes < 10)]
    for kind, kilobytes in sorted(peaks.items()):
        megabytes = kilobytes / 1024
        rows.append(Figure(f"peak memory, {job}: {kind}", megabytes, "MB",
                           goal="< 16 MB + largest file", met=megabytes < 16))
    return rows
