"""RouteFilter: which changes a monitor is to deliver, decided before Python."""

from __future__ import annotations

import enum
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias, final

from routenotify import _routenotify
from routenotify._errors import ERROR_NOT_SUPPORTED, RouteNotFound, make_error
from routenotify._filter_values import (
    CALL,
    DESTINATIONS,
    NETWORKS,
    PARSERS,
    Network,
    Numbers,
    Prefixes,
    Values,
    find_destinations,
    wrong,
)

_WORD: Final = struct.Struct("=I")
_NOT_ON_WINDOWS: Final = ("tables", "protocols", "route_types")

# A tree: a match (keywords with their values), or an operator over trees.
_Match: TypeAlias = tuple[tuple[str, Values], ...]
_Tree: TypeAlias = tuple[str, tuple[Any, ...]]

# Operators of rn_filter.h.
_OPERATORS: Final = {
    "tables": b"t",
    "protocols": b"p",
    "interfaces": b"i",
    "route_types": b"r",
    "change_types": b"c",
    "destinations": b"=",
    "more_specific": b"<",
    "covering": b">",
}


# Trees -----------------------------------------------------------------


def _joined(operator: str, one: _Tree, other: _Tree) -> _Tree:
    """`one` and `other` under & or |, without levels that say nothing."""
    parts: list[_Tree] = []
    for tree in (one, other):
        for part in tree[1] if tree[0] == operator else (tree,):
            if part not in parts:
                parts.append(part)
    return parts[0] if len(parts) == 1 else (operator, tuple(parts))


def _text(tree: _Tree) -> str:
    operator, parts = tree
    if operator == "match":
        words = (f"{name}={_value_text(values)}" for name, values in parts)
        return f"RouteFilter({', '.join(words)})"
    if operator == "~":
        return f"~{_text(parts[0])}"
    return "(" + f" {operator} ".join(map(_text, parts)) + ")"


def _value_text(values: Values) -> str:
    shown = [
        repr(str(value)) if isinstance(value, NETWORKS) else repr(_plain(value))
        for value in values
    ]
    return f"({shown[0]},)" if len(shown) == 1 else f"({', '.join(shown)})"


def _plain(value: object) -> object:
    return value.name.lower() if isinstance(value, enum.Enum) else value


def _terms(tree: _Tree) -> Iterator[tuple[str, Values]]:
    """The terms in the order in which `_encode` writes them."""
    operator, parts = tree
    if operator == "match":
        yield from parts
    else:
        for part in parts:
            yield from _terms(part)


# Bytes for rn_filter_new() -------------------------------------------------


def _encode_prefix(network: Network) -> bytes:
    packed = network.network_address.packed.ljust(16, b"\0")
    return bytes((network.version, network.prefixlen)) + packed


def _encode_term(name: str, values: Values, index: Callable[[str], int]) -> bytes:
    if name in DESTINATIONS:
        items = [_encode_prefix(value) for value in values]
    else:
        numbers = [index(v) if isinstance(v, str) else int(v) for v in values]
        items = [_WORD.pack(number) for number in numbers]
    return _OPERATORS[name] + _WORD.pack(len(items)) + b"".join(items)


def _group(operator: bytes, parts: list[bytes]) -> bytes:
    if len(parts) == 1:
        return parts[0]
    return operator + _WORD.pack(len(parts)) + b"".join(parts)


def _encode_match(match: _Match, index: Callable[[str], int]) -> bytes:
    """All keywords; of those about the destination any."""
    terms = [(name, _encode_term(name, values, index)) for name, values in match]
    where = [term for name, term in terms if name in DESTINATIONS]
    rest = [term for name, term in terms if name not in DESTINATIONS]
    return _group(b"&", ([_group(b"|", where)] if where else []) + rest)


def _encode(tree: _Tree, index: Callable[[str], int]) -> bytes:
    operator, parts = tree
    if operator == "match":
        return _encode_match(parts, index)
    encoded = [_encode(part, index) for part in parts]
    if operator == "~":
        return b"!" + encoded[0]
    return _group(operator.encode(), encoded)


def _resolver(netns_fd: int) -> Callable[[str], int]:
    """Interface names to numbers in a namespace (-1: the caller's).

    A name that no interface has raises InvalidParameter.
    """

    def index(name: str) -> int:
        try:
            return _routenotify.interface_index(name, netns_fd)
        except RouteNotFound:
            raise wrong("interfaces", name, "does not exist") from None

    return index


@final
class RouteFilter:
    """Which changes a monitor delivers, decided before they are queued.

    Every keyword takes one value or several; a row matches a keyword when it has
    one of the values, and the filter when it matches every keyword. Filters are
    immutable and hashable; `a & b`, `a | b` and `~a` make new ones::

        vpn = RouteFilter(interfaces="wg0") | RouteFilter(tables=51820)
        with RouteMonitor(filter=vpn & ~RouteFilter(route_types="local")) as monitor:
            ...

    What is delivered, replayed, gives exactly the rows of the table that match.
    Where a change makes a row match that did not before, an ADD is delivered,
    where it ceases to match, a DELETE; both have the cause "filter".
    """

    __slots__ = ("_compiled", "_tree")

    _tree: _Tree
    _compiled: _routenotify.Filter | None  # for matches(); without names only

    def __init__(
        self,
        *,
        destinations: Prefixes | None = None,
        more_specific: bool | Prefixes = False,
        covering: bool | Prefixes = False,
        tables: Numbers | None = None,
        protocols: Numbers | None = None,
        interfaces: Numbers | None = None,
        route_types: Numbers | None = None,
        change_types: Numbers | None = None,
    ) -> None:
        """Say what is wanted; without arguments that is everything.

        Args:
            destinations: Prefixes: text, or networks or addresses of
                `ipaddress`; "default" is the default route of both families.
                Exactly these, unless one of the next two is given.
            more_specific: True: also what lies inside one of the destinations.
                Or prefixes: these and what lies inside them.
            covering: True: also what one of the destinations lies inside, down
                to the default route. Or prefixes: these and what covers them.
            tables: Linux: numbers, or "main", "local", "default".
            protocols: Linux: who made the route: numbers (RTPROT_*), or names
                of iproute2: "kernel", "static", "bgp", "bird", ...
            interfaces: Names, or numbers. A name is looked up when a monitor is
                opened, in its namespace; a later renaming changes nothing.
            route_types: Linux: members of `RouteType`, their names or numbers.
            change_types: ADD, DELETE, PARAMETER: members of `ChangeType` or
                their names. Without all three, what is delivered can not be
                replayed to a table. INITIAL and markers come if asked for.

        Raises:
            InvalidParameter: A value that no route can have; says which.
            TypeError: A value of another type.
        """
        given: dict[str, object] = {
            "destinations": destinations,
            "more_specific": more_specific,
            "covering": covering,
        }
        match = list(find_destinations(given))
        others = {
            "tables": tables,
            "protocols": protocols,
            "interfaces": interfaces,
            "route_types": route_types,
            "change_types": change_types,
        }
        for name, value in others.items():
            if value is not None:
                match.append((name, PARSERS[name](value)))
        self._set(("match", tuple(match)))

    def _set(self, tree: _Tree) -> None:
        object.__setattr__(self, "_tree", tree)
        object.__setattr__(self, "_compiled", None)

    @classmethod
    def _of(cls, tree: _Tree) -> RouteFilter:
        made = object.__new__(cls)
        made._set(tree)
        return made

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: filters are immutable."""
        raise AttributeError(f"a RouteFilter is immutable: {name!r} cannot be set")

    def __delattr__(self, name: str) -> None:
        """Refuse: filters are immutable."""
        raise AttributeError(f"a RouteFilter is immutable: {name!r} cannot be deleted")

    def __and__(self, other: object) -> RouteFilter:
        """What both want."""
        if not isinstance(other, RouteFilter):
            return NotImplemented
        return RouteFilter._of(_joined("&", self._tree, other._tree))

    def __or__(self, other: object) -> RouteFilter:
        """What either wants."""
        if not isinstance(other, RouteFilter):
            return NotImplemented
        return RouteFilter._of(_joined("|", self._tree, other._tree))

    def __invert__(self) -> RouteFilter:
        """What it does not want."""
        operator, parts = self._tree
        return RouteFilter._of(parts[0] if operator == "~" else ("~", (self._tree,)))

    def __eq__(self, other: object) -> bool:
        """Made in the same way; not whether the same rows match."""
        if not isinstance(other, RouteFilter):
            return NotImplemented
        return self._tree == other._tree

    def __hash__(self) -> int:
        """Of what makes it equal."""
        return hash(self._tree)

    def __repr__(self) -> str:
        """An expression that makes an equal filter."""
        text = _text(self._tree)
        return text[1:-1] if text.startswith("(") else text

    def __reduce__(self) -> tuple[Callable[[_Tree], RouteFilter], tuple[_Tree]]:
        """Pickle as the tree."""
        return _unpickled, (self._tree,)

    def _compile(self, index: Callable[[str], int]) -> _routenotify.Filter:
        return _routenotify.Filter(_encode(self._tree, index))

    def _compile_for_monitor(self, netns_fd: int) -> _routenotify.Filter:
        """For a monitor in a namespace (-1: the caller's).

        Raises:
            InvalidParameter: An interface that does not exist there.
            NotSupported: Windows: its notifications do not say what is asked.
        """
        if sys.platform == "win32":
            for name, values in _terms(self._tree):
                if name in _NOT_ON_WINDOWS:
                    detail = (
                        f"{name}={_value_text(values)}: Windows does not say this "
                        "of a change"
                    )
                    raise make_error(ERROR_NOT_SUPPORTED, CALL, detail)
        return self._compile(_resolver(netns_fd))

    def matches(self, row: _routenotify.RouteChange | _routenotify.Route) -> bool:
        """Whether a monitor with this filter would deliver this change.

        What merged behind a full queue was judged before it merged: with
        `change_types` ADD and DELETE a monitor may deliver the PARAMETER that one
        of each became, which does not match.

        Of a `Route`: whether it would deliver any change of it. INITIAL and
        markers always match. Interface names are looked up in the caller's
        namespace. What the system did not say of the row (on Windows the table,
        the protocol and the type of a change) equals no value.

        Raises:
            InvalidParameter: An interface that does not exist.
        """
        compiled = self._compiled
        if compiled is None:
            compiled = self._compile(_resolver(-1))
            if not self._names():
                object.__setattr__(self, "_compiled", compiled)
        return compiled.matches(row)

    def _names(self) -> bool:
        return any(
            name == "interfaces" and any(isinstance(v, str) for v in values)
            for name, values in _terms(self._tree)
        )

    def explain(self) -> str:
        """What of it the kernel decides and what C does, for people.

        Nothing is decided in Python. The kernel is given tables, and the addresses
        of IPv4 destinations up to 64 prefixes, as a program of classic BPF, where
        a row they exclude cannot match whatever the rest says. The union with the
        filters of the process's other monitors of the namespace counts: while
        one of them has none, the kernel drops nothing.
        """
        compiled = self._compile(lambda _name: 1)
        steps = len(compiled.program) // 8
        terms = [
            _Term(name, values, bits if steps else bits & _COULD)
            for (name, values), bits in zip(
                _terms(self._tree), compiled.in_kernel, strict=True
            )
        ]
        lines = [f"filter: {self!r}" if len(repr(self)) < 200 else "filter:"]
        if steps:
            lines.append(
                f"in the kernel, before a message is queued ({steps} instructions "
                "of classic BPF):"
            )
            lines += _in_kernel(terms, compiled.families)
        else:
            lines.append(f"in the kernel: nothing ({_why_not(terms, compiled)})")
        none = steps and compiled.families == (0, 0)
        only = [term for term in terms if not (none or term.whole())]
        lines.append("in C, before a change is queued: all of it, and only there:")
        lines += [f"    {term.rest()}" for term in only]
        if not only:
            lines[-1] = "in C, before a change is queued: the same again"
        return "\n".join(lines)


# Bits of _routenotify.Filter.in_kernel.
_IPV4, _IPV6, _COULD = 1, 2, 4
_DECIDES: Final = _IPV4 | _IPV6

_LONGEST: Final = 2048  # RN_PROGRAM_MAX


class _Term(NamedTuple):
    """A term as explain() tells it."""

    name: str
    values: Values
    bits: int

    def whole(self) -> bool:
        """Whether the kernel decides all that it says."""
        return self.name == "tables" and self.bits & _DECIDES == _DECIDES

    def kernel(self) -> str:
        """What the kernel knows of it."""
        if self.name != "tables":
            four = tuple(value for value in self.values if value.version == 4)
            return f"{self.name}: {_summary(four)} (IPv4, by address)"
        family = {_IPV4: " (IPv4)", _IPV6: " (IPv6)"}.get(self.bits & _DECIDES, "")
        return f"{self.name}: {_summary(self.values)}{family}"

    def rest(self) -> str:
        """What C alone knows of it."""
        lengths = (
            self.name in DESTINATIONS
            and self.bits & _IPV4
            and all(value.version == 4 for value in self.values)
        )
        return f"{self.name}: {_summary(self.values)}{' (length)' if lengths else ''}"


def _in_kernel(terms: list[_Term], families: tuple[int, int]) -> Iterator[str]:
    """What the kernel decides: a family as a whole, or by what terms."""
    for name, known in zip(("IPv4", "IPv6"), families, strict=True):
        if known == 0:
            yield f"    {name}: nothing matches, all are dropped"
    for term in terms:
        if term.bits & _DECIDES:
            yield f"    {term.kernel()}"


def _summary(values: Values) -> str:
    shown = ", ".join(str(_plain(value)) for value in values[:8]) or "none"
    return f"{shown}, ... ({len(values)} in all)" if len(values) > 8 else shown


def _why_not(terms: list[_Term], compiled: _routenotify.Filter) -> str:
    if sys.platform != "linux":
        return "this system has no filter for notifications: C decides in its callback"
    if compiled.families != (1, 1):
        return f"too large for a program of {_LONGEST} instructions: C decides"
    for term in terms:
        if term.name in ("tables", *DESTINATIONS) and not term.bits & _COULD:
            return f"{len(term.values)} {term.name} are too many: C decides"
    return "no table and no IPv4 destination tells that a route cannot match"


def _unpickled(tree: _Tree) -> RouteFilter:
    return RouteFilter._of(tree)
