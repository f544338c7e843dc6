"""Recordings as JSON lines: one object a change, the keys of `watch --json` and more.

Written by hand or by `watch --json`, a line may leave out what it does not know.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, BinaryIO, Final

from routenotify._recording._error import damaged
from routenotify._recording._row import (
    HAS_ATTRIBUTES,
    NO_TABLE,
    PREFERENCE_SHIFT,
    WITH_ROW,
    Row,
    check,
)
from routenotify._routenotify import RouteChange
from routenotify._types import ChangeType, RouteType

_LONGEST: Final = 1 << 16  # bytes of a line; ours have some 600

# What a row has beside RouteChange.to_dict(), in the order it is written.
_EXTRA: Final = (
    *("scope", "tos", "mtu", "weight", "nexthop_id", "flags", "preference"),
    *("ordinal", "interface_luid"),
)


class JsonWriter:
    """Writes changes to a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.written = 0  # bytes

    def write(self, change: RouteChange) -> None:
        """Append one change."""
        self.written += self._file.write(json.dumps(to_json(change)).encode() + b"\n")


def to_json(change: RouteChange) -> dict[str, Any]:
    """What a line says of a change."""
    values = change.to_dict()
    for name in ("source", "preferred_source"):
        value = getattr(change, name)
        values[name] = None if value is None else str(value)
    for name in _EXTRA:
        values[name] = getattr(change, name)
    return values


class JsonReader:
    """Reads the records of a file; iterate once."""

    def __init__(self, file: BinaryIO, path: str, names: dict[int, str]) -> None:
        """Read from the start of a file.

        Args:
            file: open for reading bytes.
            path: its name, for errors.
            names: gets the interfaces' names by their numbers, as they come.
        """
        self._file = file
        self.path = path
        self._names = names
        self.offset = 0  # of the line last read

    def __iter__(self) -> Iterator[bytes]:
        """The records in order.

        Raises:
            RecordingError: From here on the file is damaged.
        """
        at = 0
        while line := self._file.readline(_LONGEST):
            self.offset = at
            if line.strip():
                yield self._record(line)
            at += len(line)

    def _record(self, line: bytes) -> bytes:
        try:
            values = json.loads(line)
            record = from_json(values)
        except json.JSONDecodeError as error:
            raise damaged(self.path, self.offset, _no_json(line, error)) from None
        except RecursionError:
            raise damaged(self.path, self.offset, "nested too deeply") from None
        except ValueError as error:
            raise damaged(self.path, self.offset, str(error)) from None
        if values.get("interface") and values.get("interface_index"):
            self._names[values["interface_index"]] = values["interface"]
        return record


def _no_json(line: bytes, error: json.JSONDecodeError) -> str:
    if line.endswith(b"\n"):
        return str(error)
    if len(line) == _LONGEST:
        return f"a line of more than {_LONGEST} bytes"
    return "the file ends inside a line"


def from_json(values: object) -> bytes:
    """The record of what a line says.

    Raises:
        ValueError: It says no change; the text says why.
    """
    if not isinstance(values, dict) or "type" not in values:
        raise ValueError("a change is an object with a type")
    get = _Getter(values)
    row = Row(
        type=get.name("type", ChangeType.__members__, absent=None),
        cause=get.name("cause", _causes()),
        time_ns=get.number("time_ns"),
        sequence=get.number("sequence"),
        merged=get.number("merged") or 1,
    )
    get.text("interface")
    get.number("interface_index")
    get.name("family", _FAMILIES)
    has_row, said = row.type in WITH_ROW, values.get("destination")
    if has_row != (said is not None):
        what = "needs one" if has_row else "has none"
        raise ValueError(f"destination={said!r}: type {values['type']} {what}")
    if has_row:
        row = _with_row(row, get)
    record = row.pack()
    check(record)
    return record


def _with_row(row: Row, get: _Getter) -> Row:
    version, destination, length = get.network("destination")
    if get.name("family", _FAMILIES, absent=version) != version:
        raise ValueError(f"family={get.values['family']!r} is not the destination's")
    hop_version, next_hop = get.address("next_hop")
    _, prefsrc = get.address("preferred_source", version)
    _, source, source_length = get.network("source", version)
    table_said = get.values.get("table") is not None
    said = table_said or get.values.get("protocol") is not None
    fields = HAS_ATTRIBUTES if said else 0
    fields |= NO_TABLE if said and not table_said else 0  # as Windows does
    fields |= get.name("preference", _PREFERENCES) << PREFERENCE_SHIFT
    route_type = get.name("route_type", _ROUTE_TYPES)
    numbers: dict[str, Any] = {name: get.number(name) for name in _NUMBERS}
    return row._replace(
        ip_version=version,
        destination=destination,
        prefix_length=length,
        source=source,
        source_length=source_length,
        next_hop_version=hop_version,
        next_hop=next_hop,
        prefsrc=prefsrc,
        route_type=route_type if table_said else 0,
        weight=max(0, get.number("weight") - 1),  # 0: not said
        fields=fields,
        **numbers,
    )


_NUMBERS: Final = (
    *("interface_index", "interface_luid", "table", "metric", "protocol", "scope"),
    *("tos", "mtu", "nexthop_id", "flags", "ordinal"),
)
_BITS: Final = dict.fromkeys(_NUMBERS, 32) | {
    **dict.fromkeys(("sequence", "time_ns"), 63),
    **dict.fromkeys(("protocol", "ordinal"), 16),
    **dict.fromkeys(("scope", "tos", "flags"), 8),
    "interface_luid": 64,
}
_RANGES: Final = {name: (0, (1 << bits) - 1) for name, bits in _BITS.items()} | {
    "merged": (1, (1 << 32) - 1),
    "weight": (1, 256),
}
_FAMILIES: Final = {"inet": 4, "inet6": 6}
_PREFERENCES: Final = {"medium": 0, "high": 1, "low": 3}


class _Getter:
    """Members of a line, in the form that a record has them."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def number(self, name: str) -> int:
        value = self.values.get(name)
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{name}={value!r} is no whole number")
        least, most = _RANGES[name]
        if not least <= value <= most:
            raise ValueError(f"{name}={value} is out of its range")
        return value

    def name(
        self, name: str, numbers: Mapping[str, int], absent: int | None = 0
    ) -> int:
        value = self.values.get(name)
        if value is None and absent is not None:
            return absent
        if not isinstance(value, str) or value not in numbers:
            names = ", ".join(known for known in numbers if not known.isdigit())
            raise ValueError(f"{name}={value!r} is none of {names}")
        return numbers[value]

    def text(self, name: str) -> str | None:
        value = self.values.get(name)
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{name}={value!r} is no text")
        return value

    def address(self, name: str, version: int | None = None) -> tuple[int, bytes]:
        """IP version and bytes; version: that it must have."""
        value = self.text(name)
        if value is None:
            return 0, bytes(16)
        try:
            address = ipaddress.ip_address(value)
        except ValueError as why:
            raise ValueError(f"{name}={value!r}: {why}") from None
        _check_family(name, value, address.version, version)
        return address.version, address.packed.ljust(16, b"\0")

    def network(self, name: str, version: int | None = None) -> tuple[int, bytes, int]:
        """IP version, bytes, length of the prefix; version: that it must have."""
        value = self.text(name)
        if value is None:
            return 0, bytes(16), 0
        try:
            network = ipaddress.ip_network(value)
        except ValueError as why:
            raise ValueError(f"{name}={value!r}: {why}") from None
        _check_family(name, value, network.version, version)
        packed = network.network_address.packed.ljust(16, b"\0")
        return network.version, packed, network.prefixlen


def _check_family(name: str, value: str, version: int, wanted: int | None) -> None:
    if wanted not in (None, version):
        raise ValueError(f"{name}={value!r} is not of the destination's family")


@cache
def _causes() -> dict[str, int]:
    """The native layer's names of enum rn_cause; after the last comes "unknown"."""
    found: dict[str, int] = {}
    while "unknown" not in found:
        number = len(found)
        record = Row(type=ChangeType.INITIAL, cause=number).pack()
        found[RouteChange(record).cause] = number
    return found


# As to_dict() shows them: those that have no name by their number.
_ROUTE_TYPES: Final = {str(number): number for number in range(256)} | {
    member.name.lower(): member.value for member in RouteType
}
