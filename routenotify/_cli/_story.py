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
_DAY: Final = 86400
#: Seconds: parts of one by decimal places, then seconds, minutes, hours.
_WIDTHS: Final = tuple(
    width * unit
    for unit in (0.001, 0.01, 0.1, 1, 60, 3600)
    for width in (1, 2, 5, 10, 15, 30, 60)
    if unit >= 1 or width < 10
)


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


class _Narrow:
    """Changes by time in bins that any width can be made of, now and later.

    Whatever bin_width() will give while the story goes on is a whole multiple of
    their width, so joining them later is exact. They become wider as it goes on:
    there are some hundreds of them, however many changes.
    """

    def __init__(self) -> None:
        self._width = _divisor(_WIDTHS[0])
        self._longest = 0  # nanoseconds, before a look at whether they can be wider
        self._added = 0
        # By number: how many of each type, the table's size, which add was last.
        self._bins: dict[int, list[int]] = {}

    def __len__(self) -> int:
        return len(self._bins)

    def add(self, kind: ChangeType, after_ns: int, size: int) -> None:
        """Take one in: its type, when it came, the table's size then."""
        if after_ns > self._longest:
            self._widen(after_ns)
        self._added += 1
        number = after_ns // self._width if after_ns > 0 else 0
        found = self._bins.get(number)
        if found is None:
            found = self._bins[number] = [0] * 5
        found[kind] += 1
        found[3] = size
        found[4] = self._added

    def _widen(self, length: int) -> None:
        self._longest = 2 * length
        wider = _divisor(bin_width(length / 1e9))
        self._bins = self.joined(wider, length // wider)
        self._width = wider

    def joined(self, width: int, last: int) -> dict[int, list[int]]:
        """The bins made into fewer.

        Args:
            width: nanoseconds, a multiple of what it was.
            last: number of the last one; what comes later is put into it.
        """
        joined: dict[int, list[int]] = {}
        for number, found in self._bins.items():
            into = joined.setdefault(min(number * self._width // width, last), [0] * 5)
            for kind in KINDS:
                into[kind] += found[kind]
            if found[4] > into[4]:  # not by time: a clock may be set back
                into[3:] = found[3:]
        return joined


@dataclass
class Story:
    """Collects changes; then tells of them."""

    start_ns: int = 0
    end_ns: int = 0
    counts: Counter[ChangeType] = field(default_factory=Counter)
    merged: int = 0
    """How many more there were, which were merged into those counted."""
    _rows: set[RouteKey] = field(default_factory=set)
    _narrow: _Narrow = field(default_factory=_Narrow)
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
        merged = change.merged
        if merged > 1:
            self.merged += merged - 1
        self._narrow.add(change.type, time_ns - self.start_ns, len(self._rows))
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
        nanoseconds = round(width * 1e9)
        number = -((self.start_ns - self.end_ns) // nanoseconds)
        number = min(max(1, number), _BINS)  # seconds are rounded
        counts = {kind: [0] * number for kind in KINDS}
        routes: list[int | None] = [None] * number
        for at, found in self._narrow.joined(nanoseconds, number - 1).items():
            for kind in KINDS:
                counts[kind][at] = found[kind]
            routes[at] = found[3]
        return Bins(width, counts, _carried(routes, self._at_start))

    def to_json(self, most: int) -> dict[str, Any]:
        """What `plot --json` prints."""
        bins = self.bins()
        return {
            "start_ns": self.start_ns,
            "seconds": round(self.seconds, 3),
            "changes": {kind.name: self.counts[kind] for kind in KINDS},
            "merged": self.merged,
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
    for width in _WIDTHS:
        if width >= least:
            return width
    return math.ceil(least / _DAY) * float(_DAY)


def _divisor(width: float) -> int:
    """Nanoseconds of which this width and all that are wider are multiples."""
    from_here = [width, *(other for other in _WIDTHS if other > width), _DAY]
    return math.gcd(*(round(one * 1e9) for one in from_here))
