"""A route message of rtnetlink as one entry with its hops: rtnetlink(7)."""

from __future__ import annotations

import struct
import sys
from typing import Final, NamedTuple

from routenotify._recording import _netlink as nl
from routenotify._recording._row import NO_ADDRESS

# Linux's numbers, whatever system this runs on.
AF_INET: Final = 2
AF_INET6: Final = 10
TABLE_COMPAT: Final = 252  # rtm_table of a table above 255
RTA_DST, RTA_SRC, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY = 1, 2, 4, 5, 6
RTA_PREFSRC, RTA_METRICS, RTA_MULTIPATH, RTA_FLOW = 7, 8, 9, 11
RTA_TABLE, RTA_VIA, RTA_PREF, RTA_ENCAP_TYPE, RTA_ENCAP = 15, 18, 20, 21, 22
RTA_NH_ID: Final = 30
RTAX_LOCK, RTAX_MTU = 1, 2
RTMSG: Final = struct.Struct("=BBBBBBBBI")
_RTNEXTHOP: Final = struct.Struct("=HBBi")
_CLONED: Final = 0x200  # rtm_flags: an answer about one packet, no entry
_PROTOCOL_RA: Final = 9
_ADDRESSES: Final = (RTA_DST, RTA_SRC, RTA_PREFSRC, RTA_GATEWAY)
_NUMBERS: Final = (RTA_OIF, RTA_PRIORITY, RTA_FLOW, RTA_TABLE, RTA_NH_ID)
ONLINK: Final = 0x04


class Key(NamedTuple):
    """What entries of one list in the kernel have in common."""

    ip_version: int
    table: int
    destination: bytes
    prefix_length: int
    source: bytes
    source_length: int
    tos: int
    metric: int


class Attributes(NamedTuple):
    """What an entry says beside its key and its hops."""

    protocol: int
    scope: int
    route_type: int
    nexthop_id: int
    prefsrc: bytes
    mtu: int
    preference: int
    mtu_locked: bool
    other: tuple[object, ...]
    """Metrics but the MTU, and realms: compared, not shown."""


class Hop(NamedTuple):
    """One next hop; all zero for a blackhole and its kin."""

    interface_index: int = 0
    version: int = 0
    gateway: bytes = NO_ADDRESS
    flags: int = 0
    weight: int = 0
    other: tuple[object, ...] = ()
    """Encapsulation and realms: compared, not shown."""

    @property
    def identity(self) -> tuple[int, int, bytes]:
        """What makes it the same row's."""
        return self[:3]

    def same(self, other: Hop) -> bool:
        """Is it the same but for weight and run-time flags?"""
        return (
            self.identity == other.identity
            and self.other == other.other
            and not (self.flags ^ other.flags) & ONLINK
        )


class Route(NamedTuple):
    """What a message says: an entry."""

    key: Key
    attributes: Attributes
    hops: tuple[Hop, ...]
    made_by: int | None = None
    """The port of the program that made it, 0: the kernel; None: not told."""

    @property
    def is_sibling(self) -> bool:
        """Does IPv6 merge it with others of its key into one multipath set?"""
        return self._through_gateway6 and not (self.is_kernels or self.perhaps_sibling)

    @property
    def is_kernels(self) -> bool:
        """Did the kernel make it from a router advertisement? Those stay single."""
        return self._as_kernel_makes and self.made_by == 0

    @property
    def perhaps_sibling(self) -> bool:
        """It is one if a daemon made it and not the kernel: see rn_entry.c."""
        return self._as_kernel_makes and self.made_by is None

    @property
    def _as_kernel_makes(self) -> bool:
        return (
            self._through_gateway6
            and self.attributes.protocol == _PROTOCOL_RA
            and len(self.hops) == 1
        )

    @property
    def _through_gateway6(self) -> bool:
        return (
            self.key.ip_version == 6
            and bool(self.hops)
            and self.hops[0].version != 0
            and not self.attributes.nexthop_id
        )


def parse_route(body: bytes) -> Route | None:
    """The entry of RTM_NEWROUTE or RTM_DELROUTE; None: none of ours.

    Raises:
        MalformedError: It cannot be a route.
    """
    if len(body) < RTMSG.size:
        raise nl.MalformedError("a route message is cut off")
    head = RTMSG.unpack_from(body)
    family, flags = head[0], head[8]
    if family not in (AF_INET, AF_INET6) or flags & _CLONED:
        return None
    found = nl.attributes(body[RTMSG.size :])
    size = 4 if family == AF_INET else 16
    _check(found, size)
    if max(head[1], head[2]) > size * 8:
        raise nl.MalformedError(f"a prefix length of {max(head[1], head[2])}")
    if RTA_PREF in found and len(found[RTA_PREF]) != 1:
        raise nl.MalformedError(f"a preference of {len(found[RTA_PREF])} bytes")
    return Route(_key(head, found), _attributes(head, found), _hops(found, size, flags))


def _check(found: dict[int, bytes], size: int) -> None:
    for kind in _ADDRESSES:
        if kind in found and len(found[kind]) != size:
            raise nl.MalformedError(f"an address of {len(found[kind])} bytes")
    for kind in _NUMBERS:
        if kind in found and len(found[kind]) != nl.U32.size:
            raise nl.MalformedError(f"a number of {len(found[kind])} bytes")


def _address(found: dict[int, bytes], kind: int) -> bytes:
    return found.get(kind, b"").ljust(16, b"\0")


def _number(found: dict[int, bytes], kind: int, absent: int = 0) -> int:
    value: int = nl.U32.unpack(found[kind])[0] if kind in found else absent
    return value


def _key(head: tuple[int, ...], found: dict[int, bytes]) -> Key:
    version = 4 if head[0] == AF_INET else 6
    return Key(
        ip_version=version,
        table=_number(found, RTA_TABLE, head[4]),
        destination=_address(found, RTA_DST),
        prefix_length=head[1],
        source=_address(found, RTA_SRC) if version == 6 else NO_ADDRESS,
        source_length=head[2] if version == 6 else 0,
        tos=head[3],
        metric=_number(found, RTA_PRIORITY),
    )


def _attributes(head: tuple[int, ...], found: dict[int, bytes]) -> Attributes:
    metrics = nl.attributes(found.get(RTA_METRICS, b""))
    mtu = metrics.pop(RTAX_MTU, bytes(4))
    if len(mtu) != nl.U32.size:
        raise nl.MalformedError(f"an MTU of {len(mtu)} bytes")
    locked = int.from_bytes(metrics.get(RTAX_LOCK, b""), sys.byteorder)
    return Attributes(
        protocol=head[5],
        scope=head[6],
        route_type=head[7],
        nexthop_id=_number(found, RTA_NH_ID),
        prefsrc=_address(found, RTA_PREFSRC),
        mtu=nl.U32.unpack(mtu)[0],
        preference=found.get(RTA_PREF, b"\0")[0] & 3,
        mtu_locked=bool(locked >> RTAX_MTU & 1),
        other=(*sorted(metrics.items()), _number(found, RTA_FLOW)),
    )


def _hops(found: dict[int, bytes], size: int, flags: int) -> tuple[Hop, ...]:
    if RTA_MULTIPATH in found:
        return _multipath(found[RTA_MULTIPATH], size)
    if not {RTA_OIF, RTA_GATEWAY, RTA_VIA} & found.keys():
        return ()
    index = _number(found, RTA_OIF)
    return (_hop(found, index, flags & 0xFF, 0, realms=0),)


def _multipath(data: bytes, size: int) -> tuple[Hop, ...]:
    hops = []
    at = 0
    while len(data) - at >= _RTNEXTHOP.size:
        length, flags, weight, index = _RTNEXTHOP.unpack_from(data, at)
        if not _RTNEXTHOP.size <= length <= len(data) - at:
            raise nl.MalformedError(f"a next hop of {length} bytes")
        if index < 0:
            raise nl.MalformedError(f"a next hop through interface {index}")
        found = nl.attributes(data[at + _RTNEXTHOP.size : at + length])
        _check(found, size)
        hops.append(_hop(found, index, flags, weight, _number(found, RTA_FLOW)))
        at += length + (-length % 4)
    if at < len(data) or not hops:
        raise nl.MalformedError("a multipath route with a part of a hop")
    if len(hops) == 1:  # says its weight only where it is a group's
        hops[0] = hops[0]._replace(weight=0)
    return tuple(hops)


def _hop(
    found: dict[int, bytes], index: int, flags: int, weight: int, realms: int
) -> Hop:
    version, gateway = _gateway(found)
    encap = (found.get(RTA_ENCAP_TYPE), found.get(RTA_ENCAP), realms)
    return Hop(index, version, gateway.ljust(16, b"\0"), flags, weight, encap)


def _gateway(found: dict[int, bytes]) -> tuple[int, bytes]:
    if RTA_GATEWAY in found:
        return (4 if len(found[RTA_GATEWAY]) == 4 else 6), found[RTA_GATEWAY]
    via = found.get(RTA_VIA, b"")
    family = int.from_bytes(via[:2], sys.byteorder)
    if family == AF_INET and len(via) == 6:
        return 4, via[2:]
    if family == AF_INET6 and len(via) == 18:
        return 6, via[2:]
    return 0, b""  # of another family, such as MPLS
