"""Measure, and print a table: see README.md beside this file."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator

from benchmarks import (
    _compare,
    _full,
    _lab,
    _measures,
    _micro,
    _peers,
    _plot,
    _scale,
    _table,
    _top,
)
from benchmarks._measures import Lines

ROUTES = 200_000
MILLION = 1_000_000

GROUPS: dict[str, tuple[Callable[[_lab.Lab, int, int], Lines], int]] = {
    "throughput": (_measures.throughput, ROUTES),
    "paced": (_measures.paced, ROUTES // 5),
    "filtered": (_measures.filtered, ROUTES),
    "latency": (_measures.latency, ROUTES // 100),
    "queued": (_measures.queued, ROUTES),
    "micro": (_micro.micro, ROUTES),
    "peers": (_compare.peers, ROUTES // 10),
    "full": (_full.full, _full.ALL),
    "growth": (_scale.growth, MILLION),
    "memory": (_scale.memory, MILLION),
    "flood": (_scale.long_flood, MILLION),
    "idle": (_scale.idle, 1),
    "top": (_top.top, ROUTES * 4),
}
"""What can be measured, and with how many routes."""


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure routenotify beside bare C loops and its peers.",
    )
    parser.add_argument("--runs", type=int, help="interleaved runs (default 5)")
    parser.add_argument(
        "--only",
        metavar="GROUP,...",
        default=",".join(GROUPS),
        help=f"of {', '.join(GROUPS)} (default all)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="3 runs with a tenth of the routes: a look, not a result",
    )
    parser.add_argument("--json", action="store_true", help="one object, every run")
    parser.add_argument(
        "--markdown", action="store_true", help="the table as docs/performance.md wants"
    )
    parser.add_argument("--plot", metavar="FILE", help="a picture too (matplotlib)")
    parser.add_argument(
        "--check",
        action="store_true",
        help="exit 1 if a bar is not met or something was not measured",
    )
    options = parser.parse_args()
    options.groups = options.only.split(",")
    if unknown := [name for name in options.groups if name not in GROUPS]:
        parser.error(f"--only: no group is called {unknown[0]}")
    return options


def _measured(
    lab: _lab.Lab, options: argparse.Namespace, runs: int
) -> Iterator[_table.Measure | _table.Missing]:
    for name in options.groups:
        measure, routes = GROUPS[name]
        start = time.monotonic()
        yield from measure(lab, runs, max(1, routes // 10) if options.quick else routes)
        took = time.monotonic() - start
        print(f"{name}: {took:.0f} s", file=sys.stderr, flush=True)


def main() -> int:
    """Run every measure.

    Returns:
        The exit status: 1 with --check if a bar is not met or something was not
        measured, 2 where there is no namespace to measure in.
    """
    options = _parse()
    runs = options.runs or (3 if options.quick else 5)
    machine = {
        "python": platform.python_version(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "ringbuf": "yes" if _lab.allows_ringbuf() else "no",
        "runs": runs,
    }
    try:
        with _lab.lab() as lab:
            if "peers" in options.groups:
                lab.peers = list(_peers.find(lab.folder))
            if "full" in options.groups:
                lab.prefixes = _full.find(lab.folder)
            lab.enter()
            measures = list(_measured(lab, options, runs))
    except _lab.Forbidden as reason:
        print(f"cannot measure here: {reason}", file=sys.stderr)
        return 2
    where = ", ".join(f"{name} {value}" for name, value in machine.items())
    if options.plot:
        try:
            _plot.draw(measures, where, options.plot)
        except _plot.NoPlotError as reason:
            print(f"no picture: {reason}", file=sys.stderr)
    if options.json:
        rows = [measure.to_dict() for measure in measures]
        print(json.dumps({"machine": machine, "measures": rows}))
    else:
        print(where)
        print(_table.render(measures, markdown=options.markdown))
    if unmet := _table.unmet(measures):
        print(f"not shown to be within the bar: {', '.join(unmet)}", file=sys.stderr)
    return 1 if unmet and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
