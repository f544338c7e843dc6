"""The small types around a change; imported by the extension, so free of it."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias, overload

if TYPE_CHECKING:
    from routenotify._routenotify import RouteChange

#: What identifies a row: hashable, equal for the same row, () in a marker. Its
#: parts: IP version, table, destination, source prefix, TOS, metric, next hop,
#: interface index, interface LUID, ordinal.
RouteKey: TypeAlias = tuple[int | str | None, ...]


class ChangeType(enum.IntEnum):
    """What happened: MIB_NOTIFICATION_TYPE, and markers of our own from 16 up."""

    PARAMETER = 0
    """An attribute of the row changed; its key did not."""
    ADD = 1
    """The row is new."""
    DELETE = 2
    """The row is gone."""
    INITIAL = 3
    """No row: the registration stands (`initial_notification=True`)."""
    SNAPSHOT_END = 16
    """Marker: the table that `snapshot=True` asked for is complete."""
    RESYNC_BEGIN = 17
    """Marker: what follows was found by comparing with the system."""
    RESYNC_END = 18
    """Marker: the comparison is over."""


class RouteType(enum.IntEnum):
    """What a route does with a packet: RTN_* of Linux."""

    UNSPEC = 0
    UNICAST = 1
    LOCAL = 2
    BROADCAST = 3
    ANYCAST = 4
    MULTICAST = 5
    BLACKHOLE = 6
    UNREACHABLE = 7
    PROHIBIT = 8
    THROW = 9
    NAT = 10
    XRESOLVE = 11


class Snapshot(Sequence["RouteChange"]):
    """The table at one point of a monitor's stream.

    A sequence of `RouteChange` of type ADD and cause "snapshot". Applying the
    monitor's later changes (those with a greater `sequence`) to it gives the
    later table.
    """

    __slots__ = ("_rows", "sequence")

    sequence: int
    """The last change of the stream that the rows already show."""

    def __init__(self, rows: Sequence[RouteChange], sequence: int) -> None:
        """Take rows as they are; they are not copied."""
        self._rows = rows
        self.sequence = sequence

    @overload
    def __getitem__(self, index: int) -> RouteChange: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[RouteChange]: ...
    def __getitem__(self, index: int | slice) -> RouteChange | Sequence[RouteChange]:
        """One row, or a plain sequence of some."""
        return self._rows[index]

    def __len__(self) -> int:
        """How many rows."""
        return len(self._rows)

    def __iter__(self) -> Iterator[RouteChange]:
        """In no particular order."""
        return iter(self._rows)

    def __repr__(self) -> str:
        """Size and place, not the rows."""
        return f"<Snapshot of {len(self._rows)} routes at #{self.sequence}>"

    def to_table(self) -> dict[RouteKey, RouteChange]:
        """The rows by their key: what changes can be applied to."""
        return {row.key: row for row in self._rows}
