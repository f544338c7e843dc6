"""From route messages to rows: the table as far as the messages tell it.

The rules are those of the live mirror (rn_mirror.c tells them), but for what
that one learns by comparing with the kernel: here is no kernel. A route that was
there before the recording began is unknown, so the deletion of an unknown one is
told as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from routenotify._recording import _netlink as nl
from routenotify._recording._route import Attributes, Hop, Key, Route
from routenotify._recording._row import HAS_ATTRIBUTES, PREFERENCE_SHIFT, Row
from routenotify._types import ChangeType

# enum rn_cause of rn_netio.h
_SYSTEM, _RESYNC, _REPLACED = 0, 2, 3
_LINK_DOWN, _LINK_REMOVED, _LINK_CHANGED = 4, 5, 6
_DEAD, _LINKDOWN = 0x01, 0x10  # RTNH_F_*
_IFF_UP, _IFF_RUNNING, _IFF_LOWER_UP = 0x1, 0x40, 0x10000
_CARRIER: Final = _IFF_RUNNING | _IFF_LOWER_UP  # RUNNING: seen by the link watch
_LOCAL, _ANYCAST = 2, 4  # RTN_*
_LEAST_MTU6: Final = 1280  # with less a link has no IPv6
_SCOPE_HOST: Final = 254  # an entry of this scope outlives its link's going down


class _Node:
    """A row: one hop of an entry, with what the message that brought it said."""

    __slots__ = ("attributes", "hop", "kept", "matched", "ordinal")

    def __init__(self, hop: Hop, attributes: Attributes) -> None:
        self.hop = hop
        self.attributes = attributes
        self.ordinal = 0
        self.matched = False  # has its ordinal
        self.kept = False  # of an old entry: goes on in a new one

    def goes_on_in(self, node: _Node, *, alike: bool) -> bool:
        """Is that the same row, with the same said of both if alike?"""
        return self.hop.identity == node.hop.identity and (
            not alike
            or (self.attributes, self.hop.other) == (node.attributes, node.hop.other)
        )


class _Entry:
    """A route with its hops; the first one's attributes are shown for all."""

    __slots__ = ("nodes", "perhaps", "siblings")

    def __init__(
        self, nodes: list[_Node], *, siblings: bool, perhaps: bool = False
    ) -> None:
        self.nodes = nodes
        self.siblings = siblings
        self.perhaps = perhaps  # a single one that may have been a sibling

    @classmethod
    def of(cls, route: Route) -> _Entry:
        hops = route.hops or (Hop(),)
        nodes = [_Node(hop, route.attributes) for hop in hops]
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


class _Link(NamedTuple):
    """What is known of an interface."""

    flags: int  # IFF_UP, IFF_RUNNING, IFF_LOWER_UP
    mtu: int  # 0: not said


_READY: Final = _Link(_IFF_UP | _CARRIER, 0)
_DOUBTED: Final = -1  # flags that no link has


class KernelTable:
    """Entries by key, in the order that the kernel keeps them in."""

    def __init__(self) -> None:
        self._groups: dict[Key, list[_Entry]] = {}
        self._links: dict[int, _Link] = {}  # by interface

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
            unknown = _Entry.of(route)
            return list(_deleted(route.key, [unknown], _SYSTEM))
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
        flags &= _IFF_UP | _CARRIER
        old = self._links.get(index, _READY)
        link = self._links[index] = _Link(flags, mtu or old.mtu)
        rows: list[Row] = []
        if flags != old.flags:
            for key, group, entry in self._through(index):
                if _follows_link(key, entry.nodes[0].attributes):
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
            link = self._links.get(hop.interface_index, _READY)
            if (
                link.flags & _IFF_UP
                and bool(hop.flags & _LINKDOWN) != _lost(link.flags)
                and _follows_link(route.key, route.attributes)
            ):
                self._links[hop.interface_index] = link._replace(flags=_DOUBTED)

    def _through(self, index: int) -> list[tuple[Key, list[_Entry], _Entry]]:
        """The entries with a hop through an interface, as they are now."""
        return [
            (key, group, entry)
            for key, group in self._groups.items()
            for entry in group
            if any(node.hop.interface_index == index for node in entry.nodes)
        ]

    # --- IPv4: fib_table_insert() of net/ipv4/fib_trie.c

    def _added4(self, group: list[_Entry], route: Route, flags: int) -> list[Row]:
        same = _find(entry.same(route) for entry in group)
        if flags & nl.FLAG_REPLACE:
            changed = _find_object(group, route)
            if changed is not None:
                return self._replace(group, changed, route)
            return [] if same else self._replace(group, 0, route)
        if flags & nl.FLAG_EXCL:
            if same is not None and len(group) == 1:
                return self._refresh(group, same, route)
            new = _Entry.of(route)
            old, group[:] = list(group), [new]
            return _change(route.key, group, old, [new], _RESYNC, _SYSTEM)
        if same is not None:
            return self._refresh(group, same, route)
        return self._insert(route, len(group) if flags & nl.FLAG_APPEND else 0)

    # --- IPv6: fib6_add_rt2node() of net/ipv6/ip6_fib.c

    def _added6(self, group: list[_Entry], route: Route, flags: int) -> list[Row]:
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

    def _merge(self, group: list[_Entry], at: int, route: Route) -> list[Row]:
        """The message tells the whole set of siblings."""
        nodes = []
        for node in group[at].nodes:
            told = next((hop for hop in route.hops if hop.same(node.hop)), None)
            if told is not None:
                weight = told.weight if len(route.hops) > 1 else node.hop.weight
                hop = node.hop._replace(flags=told.flags, weight=weight)
                nodes.append(_Node(hop, node.attributes))
        old = [node.hop for node in group[at].nodes]
        nodes += [
            _Node(hop, route.attributes)
            for hop in route.hops
            if not any(hop.same(known) for known in old)
        ]
        new = _Entry(nodes, siblings=True)
        return self._swap(route.key, group, at, new, _RESYNC, _SYSTEM)

    def _shrink(self, group: list[_Entry], route: Route) -> list[Row]:
        """The message tells the siblings that go."""
        at = _find(entry.siblings for entry in group)
        if at is None:
            return []
        left = [
            _Node(node.hop, node.attributes)
            for node in group[at].nodes
            if not any(hop.same(node.hop) for hop in route.hops)
        ]
        if not left:
            return self._remove(route.key, at, _SYSTEM)
        new = _Entry(left, siblings=True)
        return self._swap(route.key, group, at, new, _SYSTEM, _SYSTEM)

    # --- what the rules are made of

    def _insert(self, route: Route, at: int) -> list[Row]:
        new = _Entry.of(route)
        group = self._groups.setdefault(route.key, [])
        group.insert(at, new)
        return _change(route.key, group, [], [new], _SYSTEM, _SYSTEM)

    def _replace(self, group: list[_Entry], at: int, route: Route) -> list[Row]:
        new = _Entry.of(route)
        return self._swap(route.key, group, at, new, _REPLACED, _SYSTEM)

    def _refresh(self, group: list[_Entry], at: int, route: Route) -> list[Row]:
        """An equal entry is there: only its run-time flags can be new."""
        if group[at].flags_same(route):
            return []
        return self._replace(group, at, route)

    def _swap(
        self, key: Key, group: list[_Entry], at: int, new: _Entry, *causes: int
    ) -> list[Row]:
        old, group[at] = group[at], new
        return _change(key, group, [old], [new], *causes)

    def _remove(self, key: Key, at: int, cause: int) -> list[Row]:
        group = self._groups[key]
        old = group.pop(at)
        if not group:
            del self._groups[key]
        return list(_deleted(key, [old], cause))

    def _take_off(
        self, key: Key, group: list[_Entry], entry: _Entry, index: int, cause: int
    ) -> list[Row]:
        left = [
            _Node(node.hop, node.attributes)
            for node in entry.nodes
            if node.hop.interface_index != index
        ]
        at = group.index(entry)
        by_hop = key.ip_version == 6 or _object_of(entry)
        if not by_hop or not left:
            return self._remove(key, at, cause)
        new = _Entry(left, siblings=entry.siblings)
        return self._swap(key, group, at, new, cause, cause)

    def _set_state(
        self, key: Key, group: list[_Entry], entry: _Entry, index: int, flags: int
    ) -> list[Row]:
        if _object_of(entry) and _lost(flags):
            if key.ip_version == 6 and entry.only_through(index):
                return []  # a message tells that it is gone, with its last hop
            return self._take_off(key, group, entry, index, _LINK_DOWN)
        if key.ip_version == 6 and not entry.siblings and not flags & _IFF_UP:
            return []  # a message tells that it is gone; else it stays as it is
        state = _state4 if key.ip_version == 4 else _state6
        nodes = []
        for node in entry.nodes:
            hop = node.hop
            if hop.interface_index == index:
                hop = hop._replace(flags=state(hop.flags, flags))
            nodes.append(_Node(hop, node.attributes))
        at = group.index(entry)
        if all(node.hop.flags & _DEAD for node in nodes):
            told = key.ip_version == 6
            return [] if told else self._remove(key, at, _LINK_DOWN)
        new = _Entry(nodes, siblings=entry.siblings)
        cause = _LINK_DOWN if _lost(flags) else _LINK_CHANGED
        return self._swap(key, group, at, new, cause, cause)

    def _resize(
        self,
        key: Key,
        group: list[_Entry],
        entry: _Entry,
        index: int,
        before: int,
        mtu: int,
    ) -> list[Row]:
        nodes = []
        for node in entry.nodes:
            attributes = node.attributes
            # An object's hops have one MTU, siblings each their own.
            if node.hop.interface_index == index or attributes.nexthop_id:
                attributes = _resized(attributes, before, mtu)
            nodes.append(_Node(node.hop, attributes))
        new = _Entry(nodes, siblings=entry.siblings, perhaps=entry.perhaps)
        causes = (_LINK_CHANGED, _LINK_CHANGED)
        return self._swap(key, group, group.index(entry), new, *causes)


# --- what a link does to its entries


def _resized(attributes: Attributes, before: int, mtu: int) -> Attributes:
    """With the MTU that follows its link's: rt6_mtu_change() of net/ipv6/route.c.

    One that was set and not locked: it shrinks with the link, and grows with it
    if it was the link's.
    """
    follows = attributes.mtu >= mtu or attributes.mtu == before
    if attributes.mtu_locked or not follows:
        return attributes
    return attributes._replace(mtu=mtu)


def _lost(flags: int) -> bool:
    """Is a link down or without carrier?

    Source: fib_netdev_event() of net/ipv4/fib_frontend.c, nh_netdev_event() of
    net/ipv4/nexthop.c: an object goes even with the carrier.
    """
    return not flags & _IFF_UP or not flags & _CARRIER


def _state4(before: int, flags: int) -> int:
    """The flags of an IPv4 hop: fib_sync_down_dev(), fib_sync_up()."""
    state = 0 if flags & _IFF_UP else _DEAD
    return before & ~(_DEAD | _LINKDOWN) | state | (_LINKDOWN if _lost(flags) else 0)


def _state6(before: int, flags: int) -> int:
    """The flags of an IPv6 hop: addrconf_notify() of net/ipv6/addrconf.c.

    One that is dead stays so until the link is ready, not only up.
    """
    if not flags & _IFF_UP:
        return before | _DEAD | _LINKDOWN
    if not flags & _IFF_RUNNING:
        return before | _LINKDOWN
    ready = flags & _IFF_LOWER_UP
    return before & ~(_DEAD | _LINKDOWN) if ready else before  # the watch is late


def _follows_link(key: Key, shown: Attributes) -> bool:
    """Does the state of an interface show in an entry?"""
    if shown.nexthop_id:
        return True  # with the object, whatever it is itself
    if key.ip_version == 4:
        own = shown.scope >= _SCOPE_HOST
    elif shown.route_type == _ANYCAST:
        own = key.metric == 0  # of an address; a program's cannot have that metric
    else:
        own = shown.route_type == _LOCAL
    return not own


def _find(hits: Iterable[bool]) -> int | None:
    return next((at for at, hit in enumerate(hits) if hit), None)


def _find_out_siblings(group: list[_Entry], route: Route) -> None:
    """A set of siblings names the hop of a single entry that may have been one."""
    if any(entry.siblings for entry in group):
        return
    at = _find(entry.perhaps and entry.has(route.hops) for entry in group)
    if at is not None:
        group[at].siblings, group[at].perhaps = True, False


def _is_of_set(group: list[_Entry], route: Route) -> bool:
    """Is the deletion of what may be a sibling that of one?"""
    return (
        route.perhaps_sibling
        and any(entry.siblings and entry.has(route.hops) for entry in group)
        and not any(entry.same(route) for entry in group)
    )


def _find_replaced(group: list[_Entry], route: Route) -> int | None:
    """What IPv6 replaced by a route without a nexthop object."""
    if not route.is_kernels:
        return _find(not entry.siblings for entry in group)
    # Told once more: its preference has changed.
    return _find(
        not entry.siblings and entry.same(route, loosely=True) for entry in group
    )


def _object_of(entry: _Entry) -> int:
    return entry.nodes[0].attributes.nexthop_id


def _find_object(group: list[_Entry], route: Route) -> int | None:
    """The entry whose nexthop object has changed, as the message tells."""
    told = route.attributes
    if not told.nexthop_id:
        return None

    def is_it(entry: _Entry) -> bool:
        known = entry.nodes[0].attributes
        same = known._replace(scope=0, route_type=0, preference=0) == told._replace(
            scope=0, route_type=0, preference=0
        )
        return same and (
            route.key.ip_version == 4 or not entry.same(route, loosely=True)
        )

    return _find(is_it(entry) for entry in group)


# --- what a change of a group announces: rn_rows.c


def _change(
    key: Key,
    group: list[_Entry],
    old: list[_Entry],
    new: list[_Entry],
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
    rows += _deleted(key, old, cause_old)
    for entry in new:
        for node in entry.nodes:
            if not node.matched:
                node.ordinal = _free_ordinal(group, node)
                node.matched = True
                rows.append(_row(key, entry, node, ChangeType.ADD, cause_new))
    return rows


def _match(
    key: Key,
    entry: _Entry,
    node: _Node,
    before: list[tuple[_Entry, _Node]],
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


def _free_ordinal(group: list[_Entry], node: _Node) -> int:
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


def _deleted(key: Key, old: list[_Entry], cause: int) -> Iterator[Row]:
    for entry in old:
        for node in entry.nodes:
            if not node.kept:
                yield _row(key, entry, node, ChangeType.DELETE, cause)


def _row(key: Key, entry: _Entry, node: _Node, kind: ChangeType, cause: int) -> Row:
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
