"""What the keywords of RouteFilter may be given, brought into one shape."""

from __future__ import annotations

import enum
import ipaddress
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias, cast

from routenotify import _arguments
from routenotify._arguments import Address
from routenotify._errors import InvalidParameter
from routenotify._names import PROTOCOLS, TABLES
from routenotify._types import ChangeType, RouteType

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Prefix: TypeAlias = str | Network | Address
Prefixes: TypeAlias = Prefix | Iterable[Prefix]
Numbers: TypeAlias = str | int | Iterable[str | int]
Values: TypeAlias = tuple[Any, ...]  # sorted, each once

CALL: Final = "RouteFilter"
NETWORKS: Final = (ipaddress.IPv4Network, ipaddress.IPv6Network)
DESTINATIONS: Final = ("destinations", "more_specific", "covering")

_ADDRESSES: Final = (ipaddress.IPv4Address, ipaddress.IPv6Address)
_DEFAULTS: Final = ("0.0.0.0/0", "::/0")


def wrong(name: str, value: object, why: str) -> InvalidParameter:
    """The error that names an argument and its value."""
    return _arguments.invalid(CALL, name, value, why)


def _items(name: str, value: object, single: tuple[type, ...]) -> list[object]:
    """One value, or several, as a list."""
    if isinstance(value, single):
        return [value]
    if not isinstance(value, Iterable) or isinstance(value, bytes):
        raise _arguments.wrong_type(CALL, name, value, "a value or an iterable of them")
    return list(value)


def _network(name: str, value: object) -> Network:
    if isinstance(value, NETWORKS):
        return value
    if not isinstance(value, (str, *_ADDRESSES)):
        expected = "a prefix as text or an ipaddress network or address"
        raise _arguments.wrong_type(CALL, name, value, expected)
    try:
        return ipaddress.ip_network(value)
    except ValueError as error:  # of an object, too: an interface of ipaddress
        raise wrong(name, value, f"is no prefix ({error})") from None


def _networks(name: str, value: object) -> list[Network]:
    """The networks that one prefix stands for."""
    if value == "default":
        return [ipaddress.ip_network(text) for text in _DEFAULTS]
    network = _network(name, value)
    address = network.network_address
    _arguments.refuse_zone(address, value, name, CALL, "interfaces")
    return [network]


def _prefixes(name: str, value: object) -> set[Network]:
    items = _items(name, value, (str, *NETWORKS, *_ADDRESSES))
    return {network for item in items for network in _networks(name, item)}


def _order(network: Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen


def find_destinations(given: dict[str, object]) -> Iterator[tuple[str, Values]]:
    """The three keywords about the destination: True means the destinations.

    What they say together is one term: exactly, or inside, or around.
    """
    exact = given["destinations"]
    listed = None if exact is None else _prefixes("destinations", exact)
    found: dict[str, set[Network]] = {}
    for name in ("more_specific", "covering"):
        value = given[name]
        if value is True and listed is None:
            raise wrong(name, value, "needs destinations")
        if value is True:
            found[name] = cast(set[Network], listed)
        elif value is not False and value is not None:
            found[name] = _prefixes(name, value)
    if listed is not None:
        others = set().union(*found.values()) if found else set()
        if listed - others or not found:
            found["destinations"] = listed - others
    for name in DESTINATIONS:
        if name in found:
            yield name, tuple(sorted(found[name], key=_order))


def _number(
    name: str, value: object, least: int, most: int, names: dict[str, int]
) -> int:
    if isinstance(value, str):
        if value not in names:
            known = ", ".join(names)
            raise wrong(name, value, f"is none of the names known here: {known}")
        return names[value]
    if isinstance(value, bool) or not isinstance(value, int):
        raise _arguments.wrong_type(CALL, name, value, "a number or a name")
    if not least <= value <= most:
        raise wrong(name, value, f"is not between {least} and {most}")
    return int(value)


def _numbers(
    name: str, value: object, least: int, most: int, names: dict[str, int]
) -> Values:
    items = _items(name, value, (str, int))
    return tuple(sorted({_number(name, item, least, most, names) for item in items}))


def _by_name(names: dict[int, str]) -> dict[str, int]:
    return {text: number for number, text in names.items()}


def _tables(value: object) -> Values:
    return _numbers("tables", value, 1, 0xFFFFFFFF, _by_name(TABLES))


def _protocols(value: object) -> Values:
    return _numbers("protocols", value, 0, 0xFFFF, _by_name(PROTOCOLS))


def _members(name: str, value: object, kind: type[enum.IntEnum], most: int) -> Values:
    names = {m.name.lower(): int(m) for m in kind if m <= most}
    names |= {text.upper(): number for text, number in names.items()}
    known = {int(member): member for member in kind}
    numbers = _numbers(name, value, 0, most, names)
    return tuple(known.get(number, number) for number in numbers)


def _route_types(value: object) -> Values:
    return _members("route_types", value, RouteType, 255)


def _change_types(value: object) -> Values:
    return _members("change_types", value, ChangeType, ChangeType.DELETE)


def _is_name(text: str) -> bool:
    """Whether an interface could have it: half a surrogate stands for no byte."""
    try:
        return b"\0" not in os.fsencode(text) and text != ""
    except UnicodeEncodeError:
        return False


def _interface(value: object) -> str | int:
    if isinstance(value, str):
        if not _is_name(value):
            raise wrong("interfaces", value, "is no name")
        return value
    return _number("interfaces", value, 1, 0x7FFFFFFF, {})


def _interfaces(value: object) -> Values:
    items = {_interface(item) for item in _items("interfaces", value, (str, int))}
    return tuple(sorted(items, key=lambda item: (isinstance(item, str), item)))


PARSERS: Final[dict[str, Callable[[object], Values]]] = {
    "tables": _tables,
    "protocols": _protocols,
    "interfaces": _interfaces,
    "route_types": _route_types,
    "change_types": _change_types,
}
