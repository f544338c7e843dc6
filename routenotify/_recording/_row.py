"""The 128 bytes of a change, member by member: struct rn_record of rn_netio.h."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from routenotify._routenotify import RouteChange
from routenotify._types import ChangeType

RECORD: Final = struct.Struct("=QqQ16s16s16s16s6I2H12B")
SIZE: Final = RECORD.size
NO_ADDRESS: Final = bytes(16)

HAS_ATTRIBUTES: Final = 0x01  # bits of Row.fields
NO_TABLE: Final = 0x08
PREFERENCE_SHIFT: Final = 4
PREFERENCE_MASK: Final = 0x30

#: The types that tell of a row; the others are INITIAL and markers.
WITH_ROW: Final = (ChangeType.ADD, ChangeType.PARAMETER, ChangeType.DELETE)

WAS: Final = 1 << 63  # bit of Row.sequence, on the way to a channel only


class Row(NamedTuple):
    """A record, unpacked. Addresses are 16 bytes, IPv4 in the first four."""

    sequence: int = 0
    time_ns: int = 0
    interface_luid: int = 0
    destination: bytes = NO_ADDRESS
    next_hop: bytes = NO_ADDRESS
    source: bytes = NO_ADDRESS
    prefsrc: bytes = NO_ADDRESS
    interface_index: int = 0
    table: int = 0
    metric: int = 0
    nexthop_id: int = 0
    merged: int = 1  # if nothing else is said
    mtu: int = 0
    protocol: int = 0
    ordinal: int = 0
    type: int = 0
    ip_version: int = 0
    prefix_length: int = 0
    source_length: int = 0
    next_hop_version: int = 0
    route_type: int = 0
    scope: int = 0
    tos: int = 0
    cause: int = 0
    flags: int = 0
    fields: int = 0
    weight: int = 0

    def pack(self) -> bytes:
        """The record.

        Raises:
            struct.error: A number does not fit its member.
        """
        return RECORD.pack(*self)


def unpack(record: bytes) -> Row:
    """The members of a record."""
    return Row._make(RECORD.unpack(record))


def check(record: bytes) -> None:
    """See that bytes out of a file are a change that a monitor can deliver.

    Raises:
        ValueError: They are not; the text says why.
    """
    RouteChange(record)
    row = unpack(record)
    if row.sequence & WAS:
        raise ValueError("a record that no monitor delivers")
    if (row.type in WITH_ROW) != (row.ip_version != 0):
        without = "with" if row.ip_version else "without"
        raise ValueError(f"a change of type {row.type} {without} a row")


def address_size(ip_version: int) -> int:
    """Bytes of an address: 4 or 16."""
    return 4 if ip_version == 4 else 16
