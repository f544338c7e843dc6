"""The library beside other readers of route changes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from benchmarks import _lab, _peers
from benchmarks._lab import Lab, Report
from benchmarks._measures import PACE, Lines, cpu_us, lost, percentile
from benchmarks._table import BARE, Bar, Measure, Missing


class _PeerLines:
    """The lines of one peer, filled run by run.

    Args:
        peer: whose they are.
    """

    def __init__(self, peer: _peers.Peer) -> None:
        self.peer = peer
        name = peer.name
        sixty = Bar(1 / 60, words="<= 1/60") if name == "pyroute2" else None
        self.cpu = Measure("CPU per change", "us", name, sixty, "cpu")
        self.rate = Measure("changes a second, most", "", name, None, "rate")
        self.lost = Measure("changes lost at full rate", "", name)
        self.median = Measure("latency, median", "us", name, None, "latency")
        self.p99 = Measure("latency, p99", "us", name, None, "p99")

    def __iter__(self) -> Iterator[Measure]:
        yield from (self.cpu, self.rate, self.lost, self.median, self.p99)

    def add_flood(self, ours: Report, other: Report) -> None:
        """Figures of a flood that nobody lost anything of."""
        for report, cpu, rate in (
            (ours, self.cpu.ours, self.rate.ours),
            (other, self.cpu.other, self.rate.other),
        ):
            cpu.append(cpu_us(report, max(1, report["messages"])))
            rate.append(report["messages"] / max(report["seconds"], 1e-9))

    def add_lost(self, ours: float, other: float) -> None:
        """Changes lost of a flood that was too long for the socket."""
        self.lost.ours.append(ours)
        self.lost.other.append(other)

    def add_latencies(self, ours: list[float], other: list[float]) -> None:
        """Microseconds that each change took."""
        for measure, percent in ((self.median, 50), (self.p99, 99)):
            measure.ours.append(percentile(ours, percent))
            measure.other.append(percentile(other, percent))


def _of(reader: list[str], changes: int) -> list[str]:
    return [*reader, "--count", str(changes)]


def peers(lab: Lab, runs: int, count: int) -> Lines:
    """Other libraries and `ip monitor`: CPU, rate, loss, latency.

    All get the same flood, and room in the socket for all of it, so that each
    works at its own full speed; what is lost without that room is a line of its
    own, from a flood ten times as long.
    """
    measured = []
    for peer in lab.peers:
        if isinstance(peer, Missing):
            yield peer
        else:
            measured.append(_PeerLines(peer))
    changes, long, few = 2 * count, 20 * count, max(200, count // 20)
    for _ in range(runs):
        ours = lab.flood(lab.ours("iterate", changes), count, room=_lab.ROOM)
        ours_long = lab.flood(lab.ours("iterate", long), long // 2)
        ours_few = lab.latencies(lab.ours("stamped", 2 * few), few, PACE)
        for lines in measured:
            reader = lab.pinned(lines.peer.command)
            other = lab.flood(_of(reader, changes), count, room=_lab.ROOM)
            lines.add_flood(ours, other)
            other = lab.flood(_of(reader, long), long // 2)
            lines.add_lost(lost(ours_long, long), lost(other, long))
            with contextlib.suppress(_lab.LostError):
                few_other = lab.latencies(
                    _of(reader, 2 * few), few, PACE, room=_lab.ROOM
                )
                lines.add_latencies(ours_few, few_other)
    for lines in measured:
        yield from lines
    yield from _least(measured)


def _least(measured: list[_PeerLines]) -> Iterator[Measure]:
    """What no reader can come below by much: it has to be told, too."""
    cpu = {lines.peer.name: lines.cpu.other for lines in measured}
    bare, slow = BARE, "pyroute2"
    if bare in cpu and slow in cpu:
        name = f"CPU per change, {bare}"
        yield Measure(name, "us", slow, ours=cpu[bare], other=cpu[slow])
