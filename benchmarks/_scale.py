"""What size costs: growth, memory, a long flood, and nothing happening."""

from __future__ import annotations

import statistics

from benchmarks._lab import Lab, finish
from benchmarks._measures import Lines, lost
from benchmarks._table import BARE, Bar, Measure

SMALL = 1000
CHURN = 100_000
"""Routes changed beside the table whose size is varied."""


def growth(lab: Lab, runs: int, count: int) -> Lines:
    """CPU per change in a table of `count` routes, against one of a thousand."""
    measure = Measure(
        f"CPU per change, {count:,} routes", "us", f"{SMALL:,} routes", Bar(1.5)
    )
    for _ in range(runs):
        measure.other.append(_churn_us(lab, SMALL))
        measure.ours.append(_churn_us(lab, count))
    yield measure


def _churn_us(lab: Lab, size: int) -> float:
    """The median of three: the table stays, and making it takes longer."""
    with lab.table(size):
        costs = []
        for _ in range(3):
            report = lab.flood(lab.ours("iterate", 2 * CHURN), CHURN)
            costs.append(float(report["cpu_user"] + report["cpu_system"]))
    return statistics.median(costs) / (2 * CHURN) * 1e6


def memory(lab: Lab, runs: int, count: int) -> Lines:
    """The whole process, Python included, with `count` routes in the mirror."""
    measure = Measure(f"resident memory, {count:,} routes", "MiB", "", Bar(128, "ours"))
    with lab.table(count):
        for _ in range(runs):
            with lab.reading(lab.ours("hold", 1)) as reader:
                report = finish(reader)
            if report["routes"] < count:
                raise RuntimeError(f"the mirror has {report['routes']} routes")
            measure.ours.append(report["resident_mib"])
    yield measure


def idle(lab: Lab, runs: int, _count: int) -> Lines:
    """How often the library's threads run while nothing changes."""
    measure = Measure("wake-ups of an idle monitor, per s", "", "", Bar(0, "ours"))
    for _ in range(runs):
        with lab.reading(lab.ours("idle", 1)) as reader:
            measure.ours.append(finish(reader)["wakes"])
    yield measure


def long_flood(lab: Lab, runs: int, count: int) -> Lines:
    """Two changes for each of `count` routes at full rate, and none lost."""
    changes = 2 * count
    measure = Measure(
        f"lost of {changes:,} changes at full rate",
        "",
        BARE,
        Bar(0, "ours"),
    )
    dropped = Measure("dropped by the kernel", "", BARE, Bar(0, "ours"))
    for _ in range(runs):
        bare = lab.flood(lab.baseline("recv", changes), count)
        report = lab.flood(lab.ours("iterate", changes), count)
        measure.ours.append(lost(report, changes))
        measure.other.append(lost(bare, changes))
        dropped.ours.append(report["drops"])
        dropped.other.append(bare["drops"])
    yield from (measure, dropped)
