"""What a link does to the routes through it, of which no route message tells."""

from __future__ import annotations

from typing import Final, NamedTuple

from routenotify._recording._route import Attributes, Key

DEAD, LINKDOWN = 0x01, 0x10  # RTNH_F_*
IFF_UP, _IFF_RUNNING, _IFF_LOWER_UP = 0x1, 0x40, 0x10000
CARRIER: Final = _IFF_RUNNING | _IFF_LOWER_UP  # RUNNING: seen by the link watch
_LOCAL, _ANYCAST = 2, 4  # RTN_*
_SCOPE_HOST: Final = 254  # an entry of this scope outlives its link's going down


class Link(NamedTuple):
    """What is known of an interface."""

    flags: int  # IFF_UP, IFF_RUNNING, IFF_LOWER_UP
    mtu: int  # 0: not said


READY: Final = Link(IFF_UP | CARRIER, 0)
DOUBTED: Final = -1  # flags that no link has


def resized(attributes: Attributes, before: int, mtu: int) -> Attributes:
    """With the MTU that follows its link's: rt6_mtu_change() of net/ipv6/route.c.

    One that was set and not locked: it shrinks with the link, and grows with it
    if it was the link's.
    """
    follows = attributes.mtu >= mtu or attributes.mtu == before
    if attributes.mtu_locked or not follows:
        return attributes
    return attributes._replace(mtu=mtu)


def lost(flags: int) -> bool:
    """Is a link down or without carrier?

    Source: fib_netdev_event() of net/ipv4/fib_frontend.c, nh_netdev_event() of
    net/ipv4/nexthop.c: an object goes even with the carrier.
    """
    return not flags & IFF_UP or not flags & CARRIER


def state4(before: int, flags: int) -> int:
    """The flags of an IPv4 hop: fib_sync_down_dev(), fib_sync_up()."""
    state = 0 if flags & IFF_UP else DEAD
    return before & ~(DEAD | LINKDOWN) | state | (LINKDOWN if lost(flags) else 0)


def state6(before: int, flags: int) -> int:
    """The flags of an IPv6 hop: addrconf_notify() of net/ipv6/addrconf.c.

    One that is dead stays so until the link is ready, not only up.
    """
    if not flags & IFF_UP:
        return before | DEAD | LINKDOWN
    if not flags & _IFF_RUNNING:
        return before | LINKDOWN
    ready = flags & _IFF_LOWER_UP
    return before & ~(DEAD | LINKDOWN) if ready else before  # the watch is late


def follows_link(key: Key, shown: Attributes) -> bool:
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
