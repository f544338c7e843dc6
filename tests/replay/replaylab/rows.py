"""From the records the library delivers to the rows of the independent reader."""

import ipaddress
import socket
import struct
from functools import lru_cache
from typing import Any, NamedTuple

from replaylab.row import Row

ADDRESS_FAMILY = {0: socket.AF_UNSPEC, 4: socket.AF_INET, 6: socket.AF_INET6}
DEAD, ONLINK, LINKDOWN = 0x01, 0x04, 0x10
PREFERENCES = {0: "medium", 1: "high", 3: "low"}

# The documented layout of RouteChange.raw and of a RouteBatch's records.
_RECORD = struct.Struct("=Q q Q 16s 16s 16s 16s I I I I I I H H 12B")
assert _RECORD.size == 128


class Record(NamedTuple):
    """The members of a record, in order."""

    sequence: int
    time_ns: int
    interface_luid: int
    destination: bytes
    next_hop: bytes
    source: bytes
    prefsrc: bytes
    interface_index: int
    table: int
    metric: int
    nexthop_id: int
    merged: int
    mtu: int
    protocol: int
    ordinal: int
    type: int
    ip_version: int
    prefix_length: int
    source_length: int
    next_hop_version: int
    route_type: int
    scope: int
    tos: int
    cause: int
    flags: int
    fields: int
    weight: int


@lru_cache(maxsize=100_000)
def _address(version: int, packed: bytes) -> str:
    return str(ipaddress.ip_address(packed[:4] if version == 4 else packed))


def _source(record: Record) -> str:
    if record.source_length == 0:
        return ""
    return f"{_address(6, record.source)}/{record.source_length}"


def row_of_raw(raw: bytes) -> Row:
    """The row that 128 bytes describe."""
    record = Record._make(_RECORD.unpack(raw[:128]))
    version = record.ip_version
    state = [
        word
        for bit, word in ((DEAD, "dead"), (LINKDOWN, "linkdown"))
        if record.flags & bit
    ]
    return Row(
        family=version,
        route_type=record.route_type,
        table=record.table,
        destination=f"{_address(version, record.destination)}/{record.prefix_length}",
        source=_source(record),
        tos=record.tos,
        metric=record.metric,
        next_hop=(
            _address(record.next_hop_version, record.next_hop)
            if record.next_hop_version
            else ""
        ),
        interface_index=record.interface_index,
        protocol=record.protocol,
        scope=record.scope if version == 4 else 0,
        prefsrc=_address(version, record.prefsrc) if any(record.prefsrc) else "",
        mtu=record.mtu,
        nexthop_id=record.nexthop_id,
        weight=record.weight,
        onlink=bool(record.flags & ONLINK),
        preference=PREFERENCES[record.fields >> 4 & 3] if version == 6 else "",
        state=" ".join(state),
    )


def row_of(change: Any) -> Row:
    """The row of a RouteChange or Route."""
    return row_of_raw(change.raw)


def line_of(change: Any) -> str:
    """A change for people: number, type, cause, row."""
    if not change.key:  # a marker
        return f"{change.type.name} ({change.cause})"
    ordinal = change.key[-1]
    return (
        f"{change.sequence} {change.type.name} [{change.cause}]"
        f" merged={change.merged} ordinal={ordinal} {row_of(change).line()}"
    )
