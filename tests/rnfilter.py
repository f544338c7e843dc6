"""Filters as data: random ones, as a RouteFilter, and judged row by row.

A filter is a tree of tuples: ("&" or "|", tree, tree, ...), ("~", tree), or a
term: (keyword of RouteFilter, value, ...). What a row is to it is worked out here
in the plainest way there is, from text.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import operator
import random
from typing import Any, Protocol

import routenotify

Tree = tuple[Any, ...]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PREFIXES = (
    *("0.0.0.0/0", "20.0.0.0/16", "20.0.0.0/24", "20.0.1.0/24", "20.0.2.5/32"),
    *("10.0.0.0/8", "20.0.0.0/23", "20.0.2.4/31"),
    *("::/0", "fd10::/32", "fd10::/64", "fd10::5/128", "2001:db8::/32", "fd00::/8"),
)
TABLES = (77, 252, 253, 254, 255, 256, 1000, 70000)
TYPES = ("PARAMETER", "ADD", "DELETE")
VALUES = {
    "destinations": PREFIXES,
    "more_specific": PREFIXES,
    "covering": PREFIXES,
    "tables": TABLES,
    "protocols": (2, 3, 4, 77, 186),
    "interfaces": (1, 10, 11, 12),
    "route_types": (1, 2, 3, 6, 7),
    "change_types": TYPES,
}
ROW_KEYWORDS = tuple(name for name in VALUES if name != "change_types")


class Row(Protocol):
    """What is asked of a row; None where it is not said."""

    destination: Any
    table: int | None
    protocol: int | None
    interface_index: int | None
    route_type: int | None


def random_tree(
    chance: random.Random, keywords: tuple[str, ...] = ROW_KEYWORDS, depth: int = 3
) -> Tree:
    """A filter of a few terms."""
    kind = chance.choice(("term", "term", "&", "|", "~")) if depth else "term"
    if kind == "~":
        return "~", random_tree(chance, keywords, depth - 1)
    if kind in ("&", "|"):
        trees = (random_tree(chance, keywords, depth - 1) for _ in range(2))
        return kind, *trees
    keyword = chance.choice(keywords)
    count = chance.choice((0, 1, 1, 1, 2, 3))
    return keyword, *(chance.choice(VALUES[keyword]) for _ in range(count))


def build(tree: Tree) -> routenotify.RouteFilter:
    """The RouteFilter that a tree says."""
    kind, *rest = tree
    if kind == "~":
        return ~build(rest[0])
    if kind in ("&", "|"):
        join = operator.and_ if kind == "&" else operator.or_
        return functools.reduce(join, map(build, rest))
    return routenotify.RouteFilter(**{kind: rest})


@functools.lru_cache(maxsize=10_000)
def _network(text: str) -> Network:
    return ipaddress.ip_network(text)


def _lies_inside(inner: Network, outer: Network) -> bool:
    # subnet_of() of two families is a TypeError.
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _term(keyword: str, values: list[Any], row: Row, kind: str | None) -> bool:
    if keyword == "change_types":
        return kind in values
    if keyword in ("destinations", "more_specific", "covering"):
        mine = _network(str(row.destination))
        wanted = map(_network, values)
        if keyword == "destinations":
            return mine in wanted
        if keyword == "more_specific":
            return any(_lies_inside(mine, one) for one in wanted)
        return any(_lies_inside(one, mine) for one in wanted)
    name = {"interfaces": "interface_index"}.get(keyword, keyword.removesuffix("s"))
    return getattr(row, name) in values


def wants(tree: Tree, row: Row, kind: str | None = None) -> bool:
    """Whether the row matches; kind: name of the change's type."""
    operation, *rest = tree
    if operation == "~":
        return not wants(rest[0], row, kind)
    if operation in ("&", "|"):
        judge = all if operation == "&" else any
        return judge(wants(one, row, kind) for one in rest)
    return _term(operation, rest, row, kind)


def text(tree: Tree | None) -> str:
    """One word."""
    return json.dumps(tree, separators=(",", ":"))


def parse(word: str) -> Tree | None:
    """The reverse of text()."""
    found: Tree | None = _tuples(json.loads(word))
    return found


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
