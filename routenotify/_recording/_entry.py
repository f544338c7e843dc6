"""Entries of the kernel's table, and the rows that a change of them makes.

The rules are those of rn_rows.c.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from routenotify._recording._route import Attributes, Hop, Key, Route
from routenotify._recording._row import HAS_ATTRIBUTES, PREFERENCE_SHIFT, Row
from routenotify._types import ChangeType


class Node:
    """A row: one hop of an entry, with what the message that brought it said."""

    __slots__ = ("attributes", "hop", "kept", "matched", "ordinal")

    def __init__(self, hop: Hop, attributes: Attributes) -> None:
        self.hop = hop
        self.attributes = attributes
        self.ordinal = 0
        self.matched = False  # has its ordinal
        self.kept = False  # of an old entry: goes on in a new one

    def goes_on_in(self, node: Node, *, alike: bool) -> bool:
        """Is that the same row, with the same said of both if alike?"""
        return self.hop.identity == node.hop.identity and (
            not alike
            or (self.attributes, self.hop.other) == (node.attributes, node.hop.other)
        )


class Entry:
    """A route with its hops; the first one's attributes are shown for all."""

    __slots__ = ("nodes", "perhaps", "siblings")

    def __init__(
        self, nodes: list[Node], *, siblings: bool, perhaps: bool = False
    ) -> None:
        self.nodes = nodes
        self.siblings = siblings
        self.perhaps = perhaps  # a single one that may have been a sibling

    @classmethod
    def of(cls, route: Route) -> Entry:
        hops = route.hops or (Hop(),)
        nodes = [Node(hop, route.attributes) for hop in hops]
        return cls(nodes, siblings=route.is_sibling, perhaps=route.perhaps_sibling)

    def has(self, hops: Iterable[Hop]) -> bool:
        """Is one of its hops among these?"""
        return any(hop.same(node.hop) for node in self.nodes for hop in hops)

    def only_through(self, index: int) -> bool:
        """Do all its hops go through an interface?"""
        return all(node.hop.interface_index == index for node in self.nodes)

    def same(self, route: Route, *, loosely: bool = False) -> bool:
        """Is it what the message says, but for run-time flags?

        Args:
            route: the message.
            loosely: protocol, type, object and hops are enough.
        """
        mine, its = self.nodes[0].attributes, route.attributes
        if (mine.protocol, mine.route_type, mine.nexthop_id) != (
            its.protocol,
            its.route_type,
            its.nexthop_id,
        ):
            return False
        if not loosely and mine != its:
            return False
        return self._hops_same(route, loosely=loosely)

    def _hops_same(self, route: Route, *, loosely: bool) -> bool:
        left = [node.hop for node in self.nodes]
        hops = list(route.hops or (Hop(),))
        if len(left) != len(hops):
            return False
        weigh = not loosely and len(hops) > 1
        in_order = route.key.ip_version == 4
        for hop in hops:
            for at, mine in enumerate(left[:1] if in_order else left):
                if mine.same(hop) and (not weigh or mine.weight == hop.weight):
                    del left[at]
                    break
            else:
                return False
        return True

    def flags_same(self, route: Route) -> bool:
        return sorted(node.hop.flags for node in self.nodes) == sorted(
            hop.flags for hop in route.hops or (Hop(),)
        )


def rows_of_change(
    key: Key,
    group: list[Entry],
    old: list[Entry],
    new: list[Entry],
    cause_old: int,
    cause_new: int,
) -> list[Row]:
    """The rows of old entries that give way to new ones, which are in group.

    First what changed, then what is gone, then what is new, as the mirror does.
    Rows that stayed as they were keep their ordinals, whatever their place; one
    has no place.
    """
    before = [(entry, node) for entry in old for node in entry.nodes]
    rows = [
        _row(key, entry, node, ChangeType.PARAMETER, cause_new)
        for alike in ((True, False) if len(before) > 1 else (False,))
        for entry in new
        for node in entry.nodes
        if _match(key, entry, node, before, alike=alike)
    ]
    rows += rows_deleted(key, old, cause_old)
    for entry in new:
        for node in entry.nodes:
            if not node.matched:
                node.ordinal = _free_ordinal(group, node)
                node.matched = True
                rows.append(_row(key, entry, node, ChangeType.ADD, cause_new))
    return rows


def _match(
    key: Key,
    entry: Entry,
    node: Node,
    before: list[tuple[Entry, Node]],
    *,
    alike: bool,
) -> bool:
    """Give a node the ordinal of the old row that it goes on with, if any.

    Args:
        key: of the node.
        entry: the node's.
        node: one that may have its ordinal already.
        before: the old rows.
        alike: only one of which the same is said, run-time state aside.

    Returns:
        Whether there is one, and it differs.
    """
    if node.matched:
        return False
    for old_entry, old in before:
        if not old.kept and old.goes_on_in(node, alike=alike):
            old.kept = node.matched = True
            node.ordinal = old.ordinal
            return (
                _row(key, entry, node, ChangeType.ADD, 0)
                != _row(key, old_entry, old, ChangeType.ADD, 0)
                or node.hop.other != old.hop.other
                or entry.nodes[0].attributes.other
                != old_entry.nodes[0].attributes.other
            )
    return False


def _free_ordinal(group: list[Entry], node: Node) -> int:
    taken = {
        other.ordinal
        for entry in group
        for other in entry.nodes
        if other is not node
        and other.matched
        and other.hop.identity == node.hop.identity
    }
    ordinal = 0
    while ordinal in taken:
        ordinal += 1
    return ordinal


def rows_deleted(key: Key, old: list[Entry], cause: int) -> Iterator[Row]:
    for entry in old:
        for node in entry.nodes:
            if not node.kept:
                yield _row(key, entry, node, ChangeType.DELETE, cause)


def _row(key: Key, entry: Entry, node: Node, kind: ChangeType, cause: int) -> Row:
    shown = entry.nodes[0].attributes
    return Row(
        destination=key.destination,
        next_hop=node.hop.gateway,
        source=key.source,
        prefsrc=shown.prefsrc,
        interface_index=node.hop.interface_index,
        table=key.table,
        metric=key.metric,
        nexthop_id=node.attributes.nexthop_id,
        mtu=shown.mtu,
        protocol=shown.protocol,
        ordinal=node.ordinal,
        type=kind,
        ip_version=key.ip_version,
        prefix_length=key.prefix_length,
        source_length=key.source_length,
        next_hop_version=node.hop.version,
        route_type=shown.route_type,
        scope=shown.scope,
        tos=key.tos,
        cause=cause,
        flags=node.hop.flags,
        fields=HAS_ATTRIBUTES | shown.preference << PREFERENCE_SHIFT,
        weight=node.hop.weight if len(entry.nodes) > 1 else 0,
    )
