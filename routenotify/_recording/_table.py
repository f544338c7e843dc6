"""From route messages to rows: the table as far as the messages tell it.

The rules are those of the live mirror (rn_mirror.c tells them), but for what
that one learns by comparing with the kernel: here is no kernel. A route that was
there before the recording began is unknown, so the deletion of an unknown one is
told as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from routenotify._recording import _netlink as nl
from routenotify._recording._entry import Entry, Node, rows_deleted, rows_of_change
from routenotify._recording._link import (
    CARRIER,
    DEAD,
    DOUBTED,
    IFF_UP,
    LINKDOWN,
    READY,
    Link,
    follows_link,
    lost,
    resized,
    state4,
    state6,
)
from routenotify._recording._route import Key, Route
from routenotify._recording._row import Row

# enum rn_cause of rn_netio.h
_SYSTEM, _RESYNC, _REPLACED = 0, 2, 3
_LINK_DOWN, _LINK_REMOVED, _LINK_CHANGED = 4, 5, 6
_LEAST_MTU6: Final = 1280  # with less a link has no IPv6


class KernelTable:
    """Entries by key, in the order that the kernel keeps them in."""

    def __init__(self) -> None:
        self._groups: dict[Key, list[Entry]] = {}
        self._links: dict[int, Link] = {}  # by interface

    # --- news

    def added(self, route: Route, flags: int) -> list[Row]:
        """The rows that RTM_NEWROUTE with these nlmsg_flags changes."""
        self._doubt(route)
        group = self._groups.get(route.key)
        if group is None:
            return self._insert(route, 0)
        change = self._added4 if route.key.ip_version == 4 else self._added6
        return change(group, route, flags)

    def deleted(self, route: Route) -> list[Row]:
        """The rows that RTM_DELROUTE takes away."""
        group = self._groups.get(route.key)
        if group is None:  # older than the recording
            unknown = Entry.of(route)
            return list(rows_deleted(route.key, [unknown], _SYSTEM))
        if route.is_sibling or _is_of_set(group, route):
            return self._shrink(group, route)
        at = _find(entry.same(route) for entry in group)
        if at is None:
            at = _find(entry.same(route, loosely=True) for entry in group)
        if at is None and route.attributes.nexthop_id:
            at = _find(
                _object_of(entry) == route.attributes.nexthop_id for entry in group
            )
        return [] if at is None else self._remove(route.key, at, _SYSTEM)

    def link_removed(self, index: int) -> list[Row]:
        """The rows that go with an interface.

        Those of IPv6 and of nexthop objects go hop by hop.
        """
        self._links.pop(index, None)
        rows: list[Row] = []
        for key, group, entry in self._through(index):
            rows += self._take_off(key, group, entry, index, _LINK_REMOVED)
        return rows

    def link_changed(self, index: int, flags: int, mtu: int) -> list[Row]:
        """The rows that change with RTM_NEWLINK; messages tell the rest.

        Args:
            index: of the interface.
            flags: its ifi_flags.
            mtu: its IFLA_MTU; 0: not said.
        """
        flags &= IFF_UP | CARRIER
        old = self._links.get(index, READY)
        link = self._links[index] = Link(flags, mtu or old.mtu)
        rows: list[Row] = []
        if flags != old.flags:
            for key, group, entry in self._through(index):
                if follows_link(key, entry.nodes[0].attributes):
                    rows += self._set_state(key, group, entry, index, flags)
        if old.mtu not in (0, link.mtu) and link.mtu >= _LEAST_MTU6:
            for key, group, entry in self._through(index):
                if key.ip_version == 6:
                    rows += self._resize(key, group, entry, index, old.mtu, link.mtu)
        return rows

    def _doubt(self, route: Route) -> None:
        """Take the next RTM_NEWLINK for news if a route knows another carrier.

        One that is lost and back before the kernel looks was never lost by
        RTM_NEWLINK; but a route made meanwhile was made without, and gets it then.
        """
        for hop in route.hops:
            link = self._links.get(hop.interface_index, READY)
            if (
                link.flags & IFF_UP
                and bool(hop.flags & LINKDOWN) != lost(link.flags)
                and follows_link(route.key, route.attributes)
            ):
                self._links[hop.interface_index] = link._replace(flags=DOUBTED)

    def _through(self, index: int) -> list[tuple[Key, list[Entry], Entry]]:
        """The entries with a hop through an interface, as they are now."""
        return [
            (key, group, entry)
            for key, group in self._groups.items()
            for entry in group
            if any(node.hop.interface_index == index for node in entry.nodes)
        ]

    # --- IPv4: fib_table_insert() of net/ipv4/fib_trie.c

    def _added4(self, group: list[Entry], route: Route, flags: int) -> list[Row]:
        same = _find(entry.same(route) for entry in group)
        if flags & nl.FLAG_REPLACE:
            changed = _find_object(group, route)
            if changed is not None:
                return self._replace(group, changed, route)
            return [] if same else self._replace(group, 0, route)
        if flags & nl.FLAG_EXCL:
            if same is not None and len(group) == 1:
                return self._refresh(group, same, route)
            new = Entry.of(route)
            old, group[:] = list(group), [new]
            return rows_of_change(route.key, group, old, [new], _RESYNC, _SYSTEM)
        if same is not None:
            return self._refresh(group, same, route)
        return self._insert(route, len(group) if flags & nl.FLAG_APPEND else 0)

    # --- IPv6: fib6_add_rt2node() of net/ipv6/ip6_fib.c

    def _added6(self, group: list[Entry], route: Route, flags: int) -> list[Row]:
        if route.is_sibling:
            _find_out_siblings(group, route)
            at = _find(entry.siblings for entry in group)
            if flags & nl.FLAG_REPLACE:
                return self._replace(group, at or 0, route)
            if at is None:
                return self._insert(route, len(group))
            return self._merge(group, at, route)
        same = _find(entry.same(route) for entry in group)
        if not flags & nl.FLAG_REPLACE:
            if same is not None:
                return self._refresh(group, same, route)
            return self._insert(route, len(group))
        at = _find_object(group, route)
        if at is None:
            at = _find_replaced(group, route)
        if at is None and route.is_kernels:  # older than the recording
            return self._insert(route, len(group))
        if route.attributes.nexthop_id and same is not None and same != at:
            return []  # an object replaced by its equal: nothing is sure
        return self._replace(group, at or 0, route)

    def _merge(self, group: list[Entry], at: int, route: Route) -> list[Row]:
        """The message tells the whole set of siblings."""
        nodes = []
        for node in group[at].nodes:
            told = next((hop for hop in route.hops if hop.same(node.hop)), None)
            if told is not None:
                weight = told.weight if len(route.hops) > 1 else node.hop.weight
                hop = node.hop._replace(flags=told.flags, weight=weight)
                nodes.append(Node(hop, node.attributes))
        old = [node.hop for node in group[at].nodes]
        nodes += [
            Node(hop, route.attributes)
            for hop in route.hops
            if not any(hop.same(known) for known in old)
        ]
        new = Entry(nodes, siblings=True)
        return self._swap(route.key, group, at, new, _RESYNC, _SYSTEM)

    def _shrink(self, group: list[Entry], route: Route) -> list[Row]:
        """The message tells the siblings that go."""
        at = _find(entry.siblings for entry in group)
        if at is None:
            return []
        left = [
            Node(node.hop, node.attributes)
            for node in group[at].nodes
            if not any(hop.same(node.hop) for hop in route.hops)
        ]
        if not left:
            return self._remove(route.key, at, _SYSTEM)
        new = Entry(left, siblings=True)
        return self._swap(route.key, group, at, new, _SYSTEM, _SYSTEM)

    # --- what the rules are made of

    def _insert(self, route: Route, at: int) -> list[Row]:
        new = Entry.of(route)
        group = self._groups.setdefault(route.key, [])
        group.insert(at, new)
        return rows_of_change(route.key, group, [], [new], _SYSTEM, _SYSTEM)

    def _replace(self, group: list[Entry], at: int, route: Route) -> list[Row]:
        new = Entry.of(route)
        return self._swap(route.key, group, at, new, _REPLACED, _SYSTEM)

    def _refresh(self, group: list[Entry], at: int, route: Route) -> list[Row]:
        """An equal entry is there: only its run-time flags can be new."""
        if group[at].flags_same(route):
            return []
        return self._replace(group, at, route)

    def _swap(
        self, key: Key, group: list[Entry], at: int, new: Entry, *causes: int
    ) -> list[Row]:
        old, group[at] = group[at], new
        return rows_of_change(key, group, [old], [new], *causes)

    def _remove(self, key: Key, at: int, cause: int) -> list[Row]:
        group = self._groups[key]
        old = group.pop(at)
        if not group:
            del self._groups[key]
        return list(rows_deleted(key, [old], cause))

    def _take_off(
        self, key: Key, group: list[Entry], entry: Entry, index: int, cause: int
    ) -> list[Row]:
        left = [
            Node(node.hop, node.attributes)
            for node in entry.nodes
            if node.hop.interface_index != index
        ]
        at = group.index(entry)
        by_hop = key.ip_version == 6 or _object_of(entry)
        if not by_hop or not left:
            return self._remove(key, at, cause)
        new = Entry(left, siblings=entry.siblings)
        return self._swap(key, group, at, new, cause, cause)

    def _set_state(
        self, key: Key, group: list[Entry], entry: Entry, index: int, flags: int
    ) -> list[Row]:
        if _object_of(entry) and lost(flags):
            if key.ip_version == 6 and entry.only_through(index):
                return []  # a message tells that it is gone, with its last hop
            return self._take_off(key, group, entry, index, _LINK_DOWN)
        if key.ip_version == 6 and not entry.siblings and not flags & IFF_UP:
            return []  # a message tells that it is gone; else it stays as it is
        state = state4 if key.ip_version == 4 else state6
        nodes = []
        for node in entry.nodes:
            hop = node.hop
            if hop.interface_index == index:
                hop = hop._replace(flags=state(hop.flags, flags))
            nodes.append(Node(hop, node.attributes))
        at = group.index(entry)
        if all(node.hop.flags & DEAD for node in nodes):
            told = key.ip_version == 6
            return [] if told else self._remove(key, at, _LINK_DOWN)
        new = Entry(nodes, siblings=entry.siblings)
        cause = _LINK_DOWN if lost(flags) else _LINK_CHANGED
        return self._swap(key, group, at, new, cause, cause)

    def _resize(
        self,
        key: Key,
        group: list[Entry],
        entry: Entry,
        index: int,
        before: int,
        mtu: int,
    ) -> list[Row]:
        nodes = []
        for node in entry.nodes:
            attributes = node.attributes
            # An object's hops have one MTU, siblings each their own.
            if node.hop.interface_index == index or attributes.nexthop_id:
                attributes = resized(attributes, before, mtu)
            nodes.append(Node(node.hop, attributes))
        new = Entry(nodes, siblings=entry.siblings, perhaps=entry.perhaps)
        causes = (_LINK_CHANGED, _LINK_CHANGED)
        return self._swap(key, group, group.index(entry), new, *causes)


def _find(hits: Iterable[bool]) -> int | None:
    return next((at for at, hit in enumerate(hits) if hit), None)


def _find_out_siblings(group: list[Entry], route: Route) -> None:
    """A set of siblings names the hop of a single entry that may have been one."""
    if any(entry.siblings for entry in group):
        return
    at = _find(entry.perhaps and entry.has(route.hops) for entry in group)
    if at is not None:
        group[at].siblings, group[at].perhaps = True, False


def _is_of_set(group: list[Entry], route: Route) -> bool:
    """Is the deletion of what may be a sibling that of one?"""
    return (
        route.perhaps_sibling
        and any(entry.siblings and entry.has(route.hops) for entry in group)
        and not any(entry.same(route) for entry in group)
    )


def _find_replaced(group: list[Entry], route: Route) -> int | None:
    """What IPv6 replaced by a route without a nexthop object."""
    if not route.is_kernels:
        return _find(not entry.siblings for entry in group)
    # Told once more: its preference has changed.
    return _find(
        not entry.siblings and entry.same(route, loosely=True) for entry in group
    )


def _object_of(entry: Entry) -> int:
    return entry.nodes[0].attributes.nexthop_id


def _find_object(group: list[Entry], route: Route) -> int | None:
    """The entry whose nexthop object has changed, as the message tells."""
    told = route.attributes
    if not told.nexthop_id:
        return None

    def is_it(entry: Entry) -> bool:
        known = entry.nodes[0].attributes
        same = known._replace(scope=0, route_type=0, preference=0) == told._replace(
            scope=0, route_type=0, preference=0
        )
        return same and (
            route.key.ip_version == 4 or not entry.same(route, loosely=True)
        )

    return _find(is_it(entry) for entry in group)
