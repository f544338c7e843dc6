"""What a monitor delivers, counted: for `top` and `exporter`.

Nothing here makes an object per change: batches go into a Tally, in C.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple, TypeVar

from routenotify import RouteMonitor
from routenotify._cli._format import interface_name, protocol_name, table_name
from routenotify._routenotify import Tally
from routenotify._routenotify import interface_name as ask_name

CAPACITY = 65536  # changes that wait: 0.3 s of 200 000 a second, in 8 MiB
_BATCH = 4096  # rows taken at once: 512 KiB, which the caches hold
_NAME_AGE = 5.0  # seconds that a name of an interface is believed

Key = TypeVar("Key", bound=Hashable)


class Counts(NamedTuple):
    """Changes by what they did."""

    adds: int = 0
    deletes: int = 0
    changes: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.adds + self.deletes + self.changes

    def plus(self, other: Counts) -> Counts:
        """Return the sums."""
        return Counts(
            self.adds + other.adds,
            self.deletes + other.deletes,
            self.changes + other.changes,
        )


class Kind(NamedTuple):
    """What changes have in common, by names; "-" for what was not said."""

    family: str
    table: str
    protocol: str
    interface: str


class Busy(NamedTuple):
    """A destination that changed; flaps is how often it both came and went."""

    destination: str
    table: str
    counts: Counts
    flaps: int
    last_ns: int


class Names:
    """Names of interfaces, asked of the system now and then."""

    def __init__(self, netns_fd: int) -> None:
        """netns_fd: of the namespace that the numbers belong to, -1: ours."""
        self._netns_fd = netns_fd
        self._known: dict[int, tuple[float, str | None]] = {}

    def of(self, index: int) -> str:
        """Return a printable name; #7 when interface 7 never had one here.

        A name is kept when its interface goes: its routes go at that moment.
        """
        if index == 0:
            return "-"
        now = time.monotonic()
        asked, name = self._known.get(index, (-_NAME_AGE, None))
        if now - asked >= _NAME_AGE:
            name = ask_name(index, 0, self._netns_fd) or name
            self._known[index] = now, name
        return interface_name(name, index)


class Meter:
    """Counts what a monitor delivers, which nobody else may take."""

    def __init__(self, netns_fd: int = -1) -> None:
        """netns_fd: where interfaces have their names; -1: in our namespace."""
        self._names = Names(netns_fd)
        self.tally = Tally()

    def take(self, monitor: RouteMonitor, timeout: float = 0) -> int:
        """Count what is queued.

        Args:
            monitor: whose changes.
            timeout: seconds to wait for the first one.

        Returns:
            How many changes were counted.

        Raises:
            MonitorClosed: the monitor is closed, and nothing is left.
        """
        taken = 0
        while taken < CAPACITY:  # not for ever, should it be faster than we are
            batch = monitor.batch(_BATCH, 0 if taken else timeout)
            self.tally.add(batch, time.time_ns())
            taken += len(batch)
            if len(batch) < _BATCH:
                break
        return taken

    def kinds(self) -> dict[Kind, Counts]:
        """Return what was counted, by everything that tells kinds apart.

        Numbers of one name are one kind: an interface that was deleted and made
        again has another.
        """
        return _sums(
            (
                Kind(
                    "inet" if version == 4 else "inet6",
                    table_name(table) if table else "-",
                    protocol_name(protocol) if protocol else "-",
                    self._names.of(index),
                ),
                Counts(*counts),
            )
            for version, table, protocol, index, *counts in self.tally.kinds()
        )

    def busiest(self, count: int, order: str) -> list[Busy]:
        """Return the first destinations; order as Tally.top() has it."""
        return [
            Busy(
                destination,
                table_name(table) if table else "-",
                Counts(adds, deletes, parameters),
                flaps,
                last_ns,
            )
            for destination, table, adds, deletes, parameters, flaps, last_ns in (
                self.tally.top(count, order)
            )
        ]


def summed(kinds: dict[Kind, Counts], of: Callable[[Kind], str]) -> dict[str, Counts]:
    """Return the sums by one of the names, the largest first."""
    sums = _sums((of(kind), counts) for kind, counts in kinds.items())
    return dict(sorted(sums.items(), key=lambda item: (-item[1].total, item[0])))


def _sums(pairs: Iterable[tuple[Key, Counts]]) -> dict[Key, Counts]:
    sums: dict[Key, Counts] = {}
    for key, counts in pairs:
        sums[key] = sums.get(key, Counts()).plus(counts)
    return sums
