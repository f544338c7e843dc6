"""Make links, addresses and routes over rtnetlink, for the demo to follow.

Plain Python on a netlink socket, so that the demo needs no other program.  It
changes the network namespace that the calling thread is in.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

# linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h, linux/netlink.h
_RTM_NEWLINK, _RTM_NEWADDR = 16, 20
_RTM_NEWROUTE, _RTM_DELROUTE = 24, 25
_NLM_REQUEST, _NLM_ACK = 0x1, 0x4
_NLM_REPLACE, _NLM_EXCL, _NLM_CREATE = 0x100, 0x200, 0x400
_NLMSG_ERROR = 2
_IFLA_IFNAME, _IFLA_LINKINFO = 3, 18
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_MULTIPATH = 1, 4, 5, 6, 9
_RT_TABLE_MAIN = 254
_RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK, _RT_SCOPE_NOWHERE = 0, 253, 255
_RTN_UNSPEC, _RTN_UNICAST, _RTN_BLACKHOLE = 0, 1, 6
_IFF_UP = 1

PROTOCOL = 4  # RTPROT_STATIC: every route made here has it

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_DATAGRAM = 1 << 15  # bytes handed to the kernel at once


class Hop(NamedTuple):
    """Where a route leads: an interface by its number, perhaps a gateway."""

    gateway: str | None
    interface: int


class Request(NamedTuple):
    """One rtnetlink message without its header."""

    type: int
    flags: int
    body: bytes


def _attribute(kind: int, value: bytes) -> bytes:
    padding = bytes(-len(value) % 4)
    return struct.pack("=HH", 4 + len(value), kind) + value + padding


def _link_body(index: int, flags: int, change: int) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, change)


def _name(name: str) -> bytes:
    return _attribute(_IFLA_IFNAME, name.encode() + b"\0")


def veth(name: str, peer: str) -> Request:
    """Ask for a pair of virtual Ethernet devices."""
    far = _attribute(_VETH_INFO_PEER, _link_body(0, 0, 0) + _name(peer))
    info = _attribute(_IFLA_INFO_KIND, b"veth") + _attribute(_IFLA_INFO_DATA, far)
    body = _link_body(0, 0, 0) + _name(name) + _attribute(_IFLA_LINKINFO, info)
    return Request(_RTM_NEWLINK, _NLM_CREATE | _NLM_EXCL, body)


def link_state(index: int, *, up: bool) -> Request:
    """Ask for an interface to be up, or down."""
    return Request(_RTM_NEWLINK, 0, _link_body(index, _IFF_UP if up else 0, _IFF_UP))


def address(index: int, text: str) -> Request:
    """Ask for an address with its prefix length, such as 10.0.0.1/24."""
    own = ipaddress.ip_interface(text)
    family = socket.AF_INET if own.version == 4 else socket.AF_INET6
    body = struct.pack("=BBBBi", family, own.network.prefixlen, 0, 0, index)
    body += _attribute(_IFA_LOCAL, own.ip.packed)
    body += _attribute(_IFA_ADDRESS, own.ip.packed)
    return Request(_RTM_NEWADDR, _NLM_CREATE | _NLM_EXCL, body)


def add(destination: str, *hops: Hop, metric: int = 0) -> Request:
    """Ask for a new route; without a hop it is a blackhole."""
    body = _new_route(destination, hops, metric)
    return Request(_RTM_NEWROUTE, _NLM_CREATE | _NLM_EXCL, body)


def replace(destination: str, *hops: Hop, metric: int = 0) -> Request:
    """Ask for a route in the place of the one that is there, if any."""
    body = _new_route(destination, hops, metric)
    return Request(_RTM_NEWROUTE, _NLM_CREATE | _NLM_REPLACE, body)


def delete(destination: str, *hops: Hop, metric: int = 0) -> Request:
    """Ask for a route to go, whatever its hops if none is given."""
    kind = (_RT_SCOPE_NOWHERE, _RTN_UNSPEC)  # these match any
    return Request(_RTM_DELROUTE, 0, _route_body(destination, hops, metric, kind))


def _new_route(destination: str, hops: Sequence[Hop], metric: int) -> bytes:
    on_link = hops and all(hop.gateway is None for hop in hops)
    scope = _RT_SCOPE_LINK if on_link else _RT_SCOPE_UNIVERSE
    kind = (scope, _RTN_UNICAST if hops else _RTN_BLACKHOLE)
    return _route_body(destination, hops, metric, kind)


def _route_body(
    destination: str, hops: Sequence[Hop], metric: int, kind: tuple[int, int]
) -> bytes:
    network = ipaddress.ip_network(destination)
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    head = (family, network.prefixlen, 0, 0, _RT_TABLE_MAIN, PROTOCOL)
    body = struct.pack("=BBBBBBBBI", *head, *kind, 0)
    body += _attribute(_RTA_DST, network.network_address.packed)
    if metric:
        body += _attribute(_RTA_PRIORITY, struct.pack("=I", metric))
    if len(hops) == 1:
        body += _attribute(_RTA_OIF, struct.pack("=i", hops[0].interface))
        body += _gateway(hops[0])
    elif hops:
        body += _attribute(_RTA_MULTIPATH, b"".join(map(_multipath_hop, hops)))
    return body


def _gateway(hop: Hop) -> bytes:
    if hop.gateway is None:
        return b""
    return _attribute(_RTA_GATEWAY, ipaddress.ip_address(hop.gateway).packed)


def _multipath_hop(hop: Hop) -> bytes:
    attributes = _gateway(hop)
    return struct.pack("=HBBi", 8 + len(attributes), 0, 0, hop.interface) + attributes


class Churn:
    """A netlink socket that makes changes and waits until they are made."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE
        )
        self._sequence = 0

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def send(self, requests: Iterable[Request]) -> None:
        """Have the kernel carry out requests, in order, as fast as it can.

        Raises:
            OSError: the kernel refused one; those after it may still be done.
        """
        datagram = bytearray()
        last = 0
        for request in requests:
            last = len(datagram)
            datagram += self._packed(request)
            if len(datagram) >= _DATAGRAM:
                self._exchange(datagram, last)
                datagram.clear()
        if datagram:
            self._exchange(datagram, last)

    def _packed(self, request: Request) -> bytes:
        self._sequence += 1
        return (
            _HEADER.pack(
                _HEADER.size + len(request.body),
                request.type,
                _NLM_REQUEST | request.flags,
                self._sequence,
                0,
            )
            + request.body
        )

    def _exchange(self, datagram: bytearray, last: int) -> None:
        """Send one datagram; its last message, at offset last, is answered."""
        (flags,) = struct.unpack_from("=H", datagram, last + 6)
        struct.pack_into("=H", datagram, last + 6, flags | _NLM_ACK)
        self._socket.send(datagram)
        refused = 0
        answered = 0
        while answered != self._sequence:
            answer = self._socket.recv(1 << 16)
            _, kind, _, answered, _ = _HEADER.unpack_from(answer)
            if kind == _NLMSG_ERROR:
                (code,) = struct.unpack_from("=i", answer, _HEADER.size)
                refused = refused or -code
        if refused:
            raise OSError(refused, os.strerror(refused))
