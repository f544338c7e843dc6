"""What is measured of the library and its peers: each yields lines of the table."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from benchmarks import _lab
from benchmarks._lab import Lab, Report
from benchmarks._table import BARE, Bar, Measure, Missing

Lines = Iterator[Measure | Missing]

NOT_DEARER = Bar(1.0)
WAYS = (
    ("iterate", "for change in monitor", NOT_DEARER),
    ("get", "get()", NOT_DEARER),
    ("drain", "get() + drain()", NOT_DEARER),
    ("batch", "batch()", Bar(0.9)),
)
"""Ways of reading, as `benchmarks._reader` calls them."""

QUEUED = (
    ("queued_poll", "poll()", 75),
    ("queued_drain", "drain(1000)", 40),
    ("queued_batch", "batch()", 10),
)
"""Ways of taking what is queued, and nanoseconds a change that they may cost."""

RING_LOOP = "C loop of a BPF ring buffer"
"""See ringbuf.c."""

RING = 16384
"""Slots of a monitor's ring, unless it is told otherwise."""

PACE = 1000
"""Changes a second when latency is measured: the reader is asleep at each."""

PACED = 20_000
"""Changes a second that any reader keeps up with, 16 at a time."""


def cpu_us(report: Report, changes: int) -> float:
    """User and system time of the whole process, per change."""
    return float(report["cpu_user"] + report["cpu_system"]) / changes * 1e6


def percentile(figures: list[float], percent: int) -> float:
    """The figure that so many percent are below."""
    return statistics.quantiles(figures, n=100)[percent - 1]


def lost(report: Report, changes: int) -> float:
    """Changes that came neither by themselves nor merged into another."""
    return float(changes - report["messages"] - report.get("conflated", 0))


def throughput(lab: Lab, runs: int, count: int) -> Lines:
    """CPU per change at the kernel's full rate, and what was lost of them."""
    yield from _throughput(lab, runs, count, "IPv4", ())
    yield from _throughput(lab, runs, count, "IPv6", _lab.IPV6)


def _throughput(
    lab: Lab, runs: int, count: int, family: str, options: tuple[str, ...]
) -> Lines:
    name = f"{family} CPU per change"
    cost = {
        way: Measure(f"{name}, {called}", "us", BARE, bar) for way, called, bar in WAYS
    }
    others = {
        other: Measure(f"{name}, batch()", "us", other)
        for other in ("C recvmmsg()", *([RING_LOOP] if _lab.allows_ringbuf() else []))
    }
    queue = Measure(f"{name}, batch() without BPF ring buffer", "us", BARE)
    injector = Measure(f"{name}, of who changes routes", "us", BARE)
    gone = Measure(f"{family} changes lost", "", BARE, Bar(0, "ours"))
    changes = 2 * count

    def read(reader: list[str]) -> Report:
        return lab.flood(reader, count, *options)

    for _ in range(runs):
        bare = read(lab.baseline("recv", changes))
        for other, measure in others.items():
            ring = other == RING_LOOP
            loop = lab.ring(changes) if ring else lab.baseline("recvmmsg", changes)
            measure.other.append(cpu_us(read(loop), changes))
        for way, measure in cost.items():
            report = read(lab.ours(way, changes))
            measure.ours.append(cpu_us(report, changes))
            measure.other.append(cpu_us(bare, changes))
            gone.ours.append(lost(report, changes))
            gone.other.append(lost(bare, changes))
        injector.ours.append(cpu_us(report["injector"], changes))
        injector.other.append(cpu_us(bare["injector"], changes))
        for measure in others.values():
            measure.ours.append(cost["batch"].ours[-1])
        queue.ours.append(
            cpu_us(read(lab.ours("batch", changes, "--no-ringbuf")), changes)
        )
        queue.other.append(cpu_us(bare, changes))
    yield from cost.values()
    yield from others.values()
    yield from (queue, injector, gone)


def paced(lab: Lab, runs: int, count: int) -> Lines:
    """CPU per change when changes come in small bursts, with sleep between."""
    measure = Measure(f"CPU per change at {PACED}/s, get()", "us", BARE, None)
    options = ("--pace", str(PACED), "--batch", "16")
    for _ in range(runs):
        bare = lab.flood(lab.baseline("recv", 2 * count), count, *options)
        ours = lab.flood(lab.ours("get", 2 * count), count, *options)
        measure.ours.append(cpu_us(ours, 2 * count))
        measure.other.append(cpu_us(bare, 2 * count))
    yield measure


def filtered(lab: Lab, runs: int, count: int) -> Lines:
    """What a filter for another table leaves of the cost of a flood."""
    measure = Measure(
        "CPU of the process, a filter for another table",
        "ms",
        "no filter",
        Bar(0.05),
    )
    for _ in range(runs):
        every = lab.flood(lab.ours("drain", 2 * count), count)
        none = lab.flood(lab.ours("filtered", 2 * count), count)
        if none["messages"] or none["received"]:
            raise RuntimeError(f"the filter let something through: {none}")
        measure.ours.append(cpu_us(none, 1000))
        measure.other.append(cpu_us(every, 1000))
    yield measure


def latency(lab: Lab, runs: int, count: int) -> Lines:
    """From a change being made to the reader having it."""
    other = "C blocked in recv()"
    measures = {
        50: Measure("latency of get(), median", "us", other, Bar(1.5)),
        90: Measure("latency of get(), p90", "us", other),
        99: Measure("latency of get(), p99", "us", other, Bar(2)),
    }
    for _ in range(runs):
        bare = lab.latencies(lab.baseline("recv", 2 * count), count, PACE)
        ours = lab.latencies(lab.ours("stamped", 2 * count), count, PACE)
        for percent, measure in measures.items():
            measure.ours.append(percentile(ours, percent))
            measure.other.append(percentile(bare, percent))
    yield from measures.values()


def queued(lab: Lab, runs: int, count: int) -> Lines:
    """The consumer's side alone: changes that wait in the ring.

    The bars are for a full ring of the default size, which the caches hold;
    `count` routes at once, which they do not hold, are there to be seen.
    """
    usual = {
        way: Measure(f"{name} on a full ring", "ns", "", Bar(limit, "ours"))
        for way, name, limit in QUEUED
    }
    large = {
        way: Measure(f"{name} on {2 * count:,} queued", "ns", "")
        for way, name, _limit in QUEUED
    }
    for _ in range(runs):
        for routes, rounds, measures in ((RING // 2, 11, usual), (count, 2, large)):
            for way, measure in measures.items():
                reader = lab.ours(way, 2 * routes)
                measure.ours.append(lab.queue_up(reader, routes, rounds)["ns"])
    yield from usual.values()
    yield from large.values()
