"""A change, or a route, as one line of text."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TextIO

from routenotify._names import OWN_PROTOCOLS, PROTOCOLS, TABLES

_COLOURS = {"ADD": "32", "DELETE": "31", "PARAMETER": "33"}
_OTHER_COLOUR = "36"


class HasDict(Protocol):
    """What a RouteChange and a Route have in common here."""

    def to_dict(self) -> Mapping[str, Any]:
        """Return the members by name, in JSON's types."""


class Columns:
    """Text lines whose columns stay aligned; a wide value widens its column."""

    def __init__(self, *, colour: bool = False, date: bool = False) -> None:
        """date: whether a change has it before the time of day."""
        self._colour = colour
        self._clock = "%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S"
        self._widths = [18, 14, 6]  # destination, next hop, interface

    def change(self, change: HasDict) -> str:
        """Return the line of a RouteChange."""
        values = change.to_dict()
        kind = f"{values['type']:<9}"
        if self._colour:
            code = _COLOURS.get(values["type"], _OTHER_COLOUR)
            kind = f"\033[{code}m{kind}\033[0m"
        # Windows says no protocol of a change: a number is Linux's, also in a replay.
        row = self._row(values, PROTOCOLS)
        return f"{_time(values['time_ns'], self._clock)}  {kind}  {row}".rstrip()

    def route(self, route: HasDict) -> str:
        """Return the line of a Route."""
        return self._row(route.to_dict(), OWN_PROTOCOLS).rstrip()

    def fit(self, items: Iterable[HasDict]) -> None:
        """Widen the columns for lines that will follow."""
        for item in items:
            self._widen(_cells(item.to_dict()))

    def _row(self, values: Mapping[str, Any], protocols: Mapping[int, str]) -> str:
        if not values.get("destination"):
            return ""
        cells = _cells(values)
        self._widen(cells)
        columns = zip(cells, self._widths, strict=True)
        padded = (f"{cell:<{width}}" for cell, width in columns)
        return "  ".join((*padded, _details(values, protocols)))

    def _widen(self, cells: tuple[str, ...]) -> None:
        columns = zip(cells, self._widths, strict=True)
        self._widths = [max(len(cell), width) for cell, width in columns]


def text_of(arguments: argparse.Namespace, out: TextIO) -> Callable[[HasDict], str]:
    """Return the function that makes a change the line that was asked for."""
    if arguments.json:
        return lambda change: json.dumps(change.to_dict())
    date = getattr(arguments, "date", False)  # not every command has the option
    return Columns(colour=wants_colour(out), date=date).change


def wants_colour(out: TextIO) -> bool:
    """Say whether out is a terminal whose user has not declined colours.

    Source: https://no-color.org
    """
    declined = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return out.isatty() and not declined


def _cells(values: Mapping[str, Any]) -> tuple[str, ...]:
    return (str(values["destination"]), _next_hop(values), _interface(values))


def _time(time_ns: int | None, form: str) -> str:
    """Local time, to the millisecond; as many blanks if nobody knows it."""
    seconds, rest = divmod(time_ns or 0, 1_000_000_000)
    text = f"{time.strftime(form, time.localtime(seconds))}.{rest // 1_000_000:03d}"
    return text if time_ns else " " * len(text)  # 0: a recording that does not say


def _next_hop(values: Mapping[str, Any]) -> str:
    return f"via {values['next_hop']}" if values.get("next_hop") else "-"


def _interface(values: Mapping[str, Any]) -> str:
    return interface_name(values.get("interface"), values.get("interface_index"))


def interface_name(name: str | None, index: int | None) -> str:
    """Return the name, or #index when the system no longer knows one."""
    if name:
        return printable(name)
    return f"#{index}" if index else "-"


def printable(name: str) -> str:
    """Return a name that somebody else gave, escaped if need be.

    Linux allows nearly any byte in the name of an interface, a program or a
    namespace; a terminal must not obey them.
    """
    return name if name.isprintable() else ascii(name)


def protocol_name(number: int) -> str:
    """Return the name iproute2 has for who made a route, or the number."""
    return PROTOCOLS.get(number, str(number))


def table_name(number: int) -> str:
    """Return the name of a routing table, or its number."""
    return TABLES.get(number, str(number))


def _details(values: Mapping[str, Any], protocols: Mapping[int, str]) -> str:
    """Return what is worth saying beside the columns, as words."""
    words = []
    if values.get("route_type") not in (None, "unicast"):
        words.append(values["route_type"])
    if values.get("metric"):
        words.append(f"metric {values['metric']}")
    protocol = values.get("protocol")
    if protocol is not None:
        words.append(f"proto {protocols.get(protocol, protocol)}")
    table = values.get("table")
    if table not in (None, 254):
        words.append(f"table {table_name(table)}")
    if values.get("cause") not in (None, "system"):
        words.append(f"({values['cause']})")
    if values.get("merged", 1) > 1:
        words.append(f"[{values['merged']} merged]")
    return "  ".join(words)
