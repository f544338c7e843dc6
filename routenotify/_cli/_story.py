"""What happened in a stream of changes: rates, flapping prefixes, table size."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from routenotify import ChangeType, RouteChange, RouteKey

KINDS: Final = (ChangeType.ADD, ChangeType.PARAMETER, ChangeType.DELETE)
_BINS: Final = 120  # at most; a bin is a width that people count in
_WIDTHS: Final = (1, 2, 5, 10, 15, 30, 60)  # seconds, then minutes, then hours


@dataclass
class Flap:
    """A destination that does not stay as it is."""

    destination: str
    table: int | None
    changes: int = 0
    flaps: int = 0
    """How many times it came back after it had gone."""
    gone: bool = False


@dataclass
class Bins:
    """Changes by time: lists of one length, one item each `seconds`."""

    seconds: float
    counts: dict[ChangeType, list[int]]
    routes: list[int]
    """The table's size at the end of each bin."""


@dataclass
class Story:
    """Collects changes; then tells of them."""

    start_ns: int = 0
    end_ns: int = 0
    counts: Counter[ChangeType] = field(default_factory=Counter)
    _rows: set[RouteKey] = field(default_factory=set)
    _events: list[tuple[int, ChangeType, int]] = field(default_factory=list)
    _flaps: dict[tuple[str, int | None], Flap] = field(default_factory=dict)
    _at_start: int = 0

    def add(self, change: RouteChange) -> None:
        """Take one change in; in order."""
        if change.type not in KINDS:
            return
        key = change.key
        if change.type == ChangeType.DELETE:
            self._rows.discard(key)
        else:
            self._rows.add(key)
        time_ns = change.time_ns or self.end_ns
        self.start_ns = self.start_ns or time_ns
        self.end_ns = max(self.end_ns, time_ns)
        if change.cause == "snapshot":
            self._at_start = len(self._rows)
            return
        self.counts[change.type] += 1
        self._events.append((time_ns, change.type, len(self._rows)))
        self._note_flap(change, str(key[2]))

    def until(self, time_ns: int) -> None:
        """Nothing more came until then."""
        self.start_ns = self.start_ns or time_ns
        self.end_ns = max(self.end_ns, time_ns)

    def _note_flap(self, change: RouteChange, destination: str) -> None:
        table = change.table
        flap = self._flaps.get((destination, table))
        if flap is None:
            flap = self._flaps[destination, table] = Flap(destination, table)
        flap.changes += 1
        if change.type == ChangeType.DELETE:
            flap.gone = True
        elif flap.gone:
            flap.gone = False
            flap.flaps += 1

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.end_ns - self.start_ns) / 1e9

    def ranking(self, most: int) -> list[Flap]:
        """The destinations that came back most often, then those that changed."""
        found = sorted(
            self._flaps.values(),
            key=lambda flap: (-flap.flaps, -flap.changes, flap.destination),
        )
        return found[:most]

    def bins(self) -> Bins:
        """The changes by time, in at most 120 bins."""
        width = bin_width(self.seconds)
        number = max(1, math.ceil(self.seconds / width))
        counts = {kind: [0] * number for kind in KINDS}
        routes: list[int | None] = [None] * number
        for time_ns, kind, size in self._events:
            at = (time_ns - self.start_ns) / 1e9 / width
            at_bin = min(number - 1, max(0, int(at)))
            counts[kind][at_bin] += 1
            routes[at_bin] = size
        return Bins(width, counts, _carried(routes, self._at_start))

    def to_json(self, most: int) -> dict[str, Any]:
        """What `plot --json` prints."""
        bins = self.bins()
        return {
            "start_ns": self.start_ns,
            "seconds": round(self.seconds, 3),
            "changes": {kind.name: self.counts[kind] for kind in KINDS},
            "routes": {
                "start": self._at_start,
                "end": len(self._rows),
                "most": max([self._at_start, *bins.routes]),
            },
            "flaps": [
                {
                    "destination": flap.destination,
                    "table": flap.table,
                    "flaps": flap.flaps,
                    "changes": flap.changes,
                }
                for flap in self.ranking(most)
            ],
            "bins": {
                "seconds": bins.seconds,
                **{kind.name: bins.counts[kind] for kind in KINDS},
                "routes": bins.routes,
            },
        }


def _carried(sizes: Iterable[int | None], before: int) -> list[int]:
    carried = []
    for size in sizes:
        before = before if size is None else size
        carried.append(before)
    return carried


def bin_width(seconds: float) -> float:
    """Seconds of one bin: round, and so that there are at most 120 of them."""
    least = seconds / _BINS
    for unit in (0.001, 0.01, 0.1, 1, 60, 3600):
        for width in _WIDTHS:
            if (unit >= 1 or width < 10) and width * unit >= least:
                return width * unit
    return math.ceil(least / 86400) * 86400.0
