"""Recordings in the format of iproute2's rtmon, which `ip monitor file` reads.

Raw rtnetlink messages, each group of them after a timestamp. One row is one
RTM_NEWROUTE or RTM_DELROUTE that says what rtnetlink has words for. The record
itself goes with it, in an attribute that other readers skip, so that nothing is
lost on the way: the cause, the nanoseconds, PARAMETER or ADD. A change without a
row (INITIAL, markers) is a NLMSG_NOOP with that attribute alone. Before the first
row through an interface an RTM_NEWLINK tells its name.

A message without the attribute was written by rtmon: then the table's rules tell
what rows it stands for.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from io import BufferedIOBase
from typing import BinaryIO, Final

from routenotify._recording import _netlink as nl
from routenotify._recording import _route as wire
from routenotify._recording._error import damaged
from routenotify._recording._row import (
    NO_ADDRESS,
    PREFERENCE_MASK,
    PREFERENCE_SHIFT,
    SIZE,
    Row,
    address_size,
    check,
    unpack,
)
from routenotify._recording._table import KernelTable
from routenotify._routenotify import RouteChange
from routenotify._types import ChangeType

_OWN: Final = 0x124E  # far above any RTA_*, below the flag bits of a type
_OWN_HEAD: Final = nl.ATTRIBUTE.pack(nl.ATTRIBUTE.size + SIZE, _OWN)
_STAMP: Final = struct.Struct("=II")
_IFINFO: Final = struct.Struct("=BxHiII")
_IFLA_IFNAME, _IFLA_MTU = 3, 4
_ARPHRD_VOID: Final = 0xFFFF
_FLAGS: Final[dict[int, int]] = {
    ChangeType.ADD: nl.FLAG_CREATE | nl.FLAG_EXCL,
    ChangeType.PARAMETER: nl.FLAG_REPLACE,
    ChangeType.DELETE: 0,
}


# --- writing


class RtmonWriter:
    """Writes changes to a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.written = 0  # bytes
        self._stamp = b""
        self._named: set[int] = set()

    def write(self, change: RouteChange) -> None:
        """Append one change, after a timestamp if it has another time."""
        row = unpack(change.raw)
        self._name(change)
        seconds, rest = divmod(row.time_ns, 1_000_000_000)
        stamp = _STAMP.pack(seconds & 0xFFFFFFFF, rest // 1000)
        if stamp != self._stamp:
            self._stamp = stamp
            self.written += self._file.write(nl.message(nl.TIMESTAMP, 0, stamp))
        self.written += self._file.write(message_of(row, change.raw))

    def _name(self, change: RouteChange) -> None:
        index = change.interface_index
        if index is None or index in self._named:
            return
        name = change.interface
        if name is None:
            return  # perhaps the next row through it knows
        self._named.add(index)
        text = name.encode(errors="surrogateescape") + b"\0"
        body = _IFINFO.pack(0, _ARPHRD_VOID, index, 0, 0) + nl.attribute(
            _IFLA_IFNAME, text
        )
        self.written += self._file.write(nl.message(nl.NEWLINK, 0, body))


def message_of(row: Row, record: bytes) -> bytes:
    """The message that stands for a record."""
    own = _OWN_HEAD + record
    flags = _FLAGS.get(row.type)
    if flags is None or row.ip_version == 0:
        return nl.message(nl.NOOP, 0, own)
    kind = nl.DELROUTE if row.type == ChangeType.DELETE else nl.NEWROUTE
    return nl.message(kind, flags, _head(row) + own + _attributes(row))


def _head(row: Row) -> bytes:
    return wire.RTMSG.pack(
        wire.AF_INET if row.ip_version == 4 else wire.AF_INET6,
        row.prefix_length,
        row.source_length,
        row.tos,
        row.table if row.table < 256 else wire.TABLE_COMPAT,
        row.protocol if row.protocol < 256 else 0,
        row.scope,
        row.route_type,
        row.flags,
    )


def _attributes(row: Row) -> bytes:
    size = address_size(row.ip_version)
    parts = [nl.attribute(wire.RTA_TABLE, nl.U32.pack(row.table))]
    if row.prefix_length:
        parts.append(nl.attribute(wire.RTA_DST, row.destination[:size]))
    if row.source_length:
        parts.append(nl.attribute(wire.RTA_SRC, row.source[:size]))
    if row.prefsrc != NO_ADDRESS:
        parts.append(nl.attribute(wire.RTA_PREFSRC, row.prefsrc[:size]))
    if row.next_hop_version:
        parts.append(_gateway(row))
    for kind, value in (
        (wire.RTA_OIF, row.interface_index),
        (wire.RTA_PRIORITY, row.metric),
        (wire.RTA_NH_ID, row.nexthop_id),
    ):
        if value:
            parts.append(nl.attribute(kind, nl.U32.pack(value)))
    if row.mtu:
        mtu = nl.attribute(wire.RTAX_MTU, nl.U32.pack(row.mtu))
        parts.append(nl.attribute(wire.RTA_METRICS, mtu))
    if row.ip_version == 6:
        preference = (row.fields & PREFERENCE_MASK) >> PREFERENCE_SHIFT
        parts.append(nl.attribute(wire.RTA_PREF, bytes([preference])))
    return b"".join(parts)


def _gateway(row: Row) -> bytes:
    address = row.next_hop[: address_size(row.next_hop_version)]
    if row.next_hop_version == row.ip_version:
        return nl.attribute(wire.RTA_GATEWAY, address)
    family = wire.AF_INET if row.next_hop_version == 4 else wire.AF_INET6
    return nl.attribute(wire.RTA_VIA, struct.pack("=H", family) + address)


# --- reading


class RtmonReader:
    """Reads the records of a file; iterate once."""

    def __init__(self, file: BufferedIOBase, path: str, names: dict[int, str]) -> None:
        """Read from the start of a file.

        Args:
            file: open for reading bytes.
            path: its name, for errors.
            names: gets the interfaces' names by their numbers, as they come.
        """
        self._file = file
        self.path = path
        self._names = names
        self._time_ns = 0
        self._table = KernelTable()
        self.offset = 0  # of the message last read

    def __iter__(self) -> Iterator[bytes]:
        """The records in order.

        Raises:
            RecordingError: From here on the file is damaged.
        """
        for message in nl.read_messages(self._file, self.path):
            self.offset = message.offset
            try:
                yield from self._records(message)
            except nl.MalformedError as why:
                raise damaged(self.path, message.offset, str(why)) from None

    def _records(self, message: nl.Message) -> list[bytes]:
        if message.type in (nl.NEWROUTE, nl.DELROUTE):
            own = _own(message.body, wire.RTMSG.size)
            return self._rows(message) if own is None else [own]
        if message.type == nl.NOOP:
            own = _own(message.body, 0)
            return [] if own is None else [own]
        if message.type == nl.TIMESTAMP:
            self._stamp(message.body)
        elif message.type in (nl.NEWLINK, nl.DELLINK):
            return self._link(message)
        return []

    def _stamp(self, body: bytes) -> None:
        if len(body) < _STAMP.size:
            raise nl.MalformedError("a timestamp is cut off")
        seconds, microseconds = _STAMP.unpack_from(body)
        self._time_ns = seconds * 1_000_000_000 + microseconds * 1000

    def _rows(self, message: nl.Message) -> list[bytes]:
        route = wire.parse_route(message.body)
        if route is None:
            return []
        if message.type == nl.NEWROUTE:
            route = route._replace(made_by=_maker(message))
            rows = self._table.added(route, message.flags)
        else:
            rows = self._table.deleted(route)
        return self._timed(rows)

    def _link(self, message: nl.Message) -> list[bytes]:
        body = message.body
        if len(body) < _IFINFO.size:
            raise nl.MalformedError("a link message is cut off")
        family, _, index, flags, change = _IFINFO.unpack_from(body)
        found = nl.attributes(body[_IFINFO.size :])
        name = found.get(_IFLA_IFNAME)
        if name and message.type == nl.NEWLINK:
            text = name.rstrip(b"\0").decode(errors="surrogateescape")
            self._names[index] = text
        if family != 0:
            return []  # a bridge's or IPv6's view of the link
        if message.type == nl.DELLINK:
            return self._timed(self._table.link_removed(index))
        if not flags and not change:
            return []  # RtmonWriter's says only the name
        mtu = int.from_bytes(found.get(_IFLA_MTU, b""), sys.byteorder)
        return self._timed(self._table.link_changed(index, flags, mtu))

    def _timed(self, rows: list[Row]) -> list[bytes]:
        records = []
        for row in rows:
            try:
                record = row._replace(time_ns=self._time_ns).pack()
            except struct.error as why:  # such as the 65 537th equal route
                raise nl.MalformedError(f"a row's number: {why}") from None
            _check(record)
            records.append(record)
        return records


def _maker(message: nl.Message) -> int | None:
    """The port of the program that made a route: inet6_rt_notify().

    Without a flag it is told again, by whomever; the port of a deletion is the
    deleter's.
    """
    made = message.flags & (nl.FLAG_CREATE | nl.FLAG_REPLACE)
    return message.port if made else None


def _own(body: bytes, at: int) -> bytes | None:
    """The record that RtmonWriter put in a message, or None."""
    if not body.startswith(_OWN_HEAD[2:], at + 2):
        return None
    if not body.startswith(_OWN_HEAD, at) or len(body) < at + len(_OWN_HEAD) + SIZE:
        raise nl.MalformedError("a record of another size: made by a newer version?")
    at += len(_OWN_HEAD)
    record = body[at : at + SIZE]
    _check(record)
    return record


def _check(record: bytes) -> None:
    try:
        check(record)
    except ValueError as why:
        raise nl.MalformedError(str(why)) from None
