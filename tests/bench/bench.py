#!/usr/bin/env python3
"""Measures mcp-upgraded beside the naive ways, in the same run: times, memory, disk, syncs.

Everything is done by the real programs in private directories. Each way is run several times in
turn, and the median counts. The rows that need MCP Local Manager and its old scripts take a clone
of it (--real CHECKOUT), which is copied and not touched, and root: the scripts write to fixed
places, over which private directories are mounted for them alone.

    tests/bench/bench.py                 everything but the rows that need --real
    tests/bench/bench.py --quick         fewer runs: under a minute
    tests/bench/bench.py --only start,launcher --runs 20

The programs are taken from build/, or from $MCPU_BUILD. Exit code 1: more syncs than allowed, or a
goal was missed and --strict was given.
"""

import argparse
import dataclasses
import json
import os
import platform
import sys
import time

import job_figures
import real_figures
import service_figures
import stage_figures
from applications import BUILD
from figures import skipped

#: Name, function, runs by default and with --quick.
PARTS = [
    ("own", job_figures.own_parts, 15, 5),
    ("phases", job_figures.phases, 9, 3),
    ("command", job_figures.without_command, 8, 2),
    ("start", service_figures.start, 25, 9),
    ("launcher", service_figures.launcher, 25, 5),
    ("memory", service_figures.memory, 5, 1),
    ("watchers", service_figures.watchers, 5, 1),
    ("stage", stage_figures.staging, 5, 1),
    ("syncs", job_figures.syncs, 1, 1),
    ("disk", job_figures.disk_left, 1, 1),
    ("real", real_figures.real, 11, 3),
]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="fewer runs: under a minute")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    parser.add_argument("--only", metavar="PARTS", default="",
                        help="comma-separated: " + ", ".join(part[0] for part in PARTS))
    parser.add_argument("--runs", type=int, help="instead of each part's own number of runs")
    parser.add_argument("--real", metavar="CHECKOUT",
                        help="a clone of MCP Local Manager with its tags")
    parser.add_argument("--check-syncs", type=int, metavar="N",
                        help="fail if a quick upgrade makes more than N syncs")
    parser.add_argument("--strict", action="store_true", help="fail if a goal is missed")
    chosen = parser.parse_args()
    unknown = set(filter(None, chosen.only.split(","))) - {part[0] for part in PARTS}
    if unknown:
        parser.error(f"unknown part: {', '.join(sorted(unknown))}")
    return chosen


def measure(chosen):
    wanted = set(filter(None, chosen.only.split(",")))
    for name, function, runs, quick_runs in PARTS:
        if wanted and name not in wanted:
            continue
        runs = chosen.runs or (quick_runs if chosen.quick else runs)
        more = {"syncs": [chosen.check_syncs], "real": [chosen.real],
                "stage": [chosen.quick], "watchers": [chosen.quick]}.get(name, [])
        begin = time.monotonic()
        try:
            rows = function(runs, *more)
        except AssertionError as error:
            rows = [dataclasses.replace(skipped(name, f"failed: {error}"), met=False)]
        print(f"{name}: {time.monotonic() - begin:.1f} s", file=sys.stderr)
        yield from rows


def number(value, unit):
    if value is None:
        return ""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 100 \
        else f"{value:.0f}"
    return f"{text} {unit}".strip()


def cells(row):
    if row.skipped:
        return [row.name, "skipped", "", "", row.goal, "", row.skipped]
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    other = f"{number(row.naive, row.unit)} ({row.naive_way})" if row.naive is not None else ""
    verdict = {True: "yes", False: "NO", None: ""}[row.met]
    spread = "" if row.spread is None else f"±{number(row.spread, row.unit)}, {row.runs} runs"
    return [row.name, number(row.value, row.unit), other, ratio, row.goal, verdict,
            "; ".join(filter(None, [spread, row.note]))]


def table(rows):
    lines = [["what", "measured", "naive way", "ratio", "goal", "met", "notes"]]
    lines += [cells(row) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]) - 1)]
    lines.insert(1, ["-" * width for width in widths] + ["-----"])
    for line in lines:
        padded = [cell.ljust(width) for cell, width in zip(line, widths)]
        print("| " + " | ".join([*padded, line[-1]]) + " |")


def main():
    chosen = arguments()
    rows = list(measure(chosen))
    machine = {"cpus": os.cpu_count(), "kernel": platform.release(), "build": str(BUILD),
               "load": os.getloadavg()[0]}
    if chosen.json:
        print(json.dumps({"machine": machine, "figures": [
            dataclasses.asdict(row) | {"ratio": row.ratio} for row in rows]}, indent=1))
    else:
        print(f"{machine['cpus']} CPUs, Linux {machine['kernel']}, load {machine['load']:.1f}\n")
        table(rows)
    failed = [row for row in rows if row.met is False and
              (chosen.strict or row.skipped or row.name.startswith("syncs"))]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
