"""Silent changes, one by one: exact rows, exact causes, from a real kernel.

Each test is one line of "what the kernel changes without a route message".
"""

import contextlib
import ipaddress
import os
import socket
import struct
import threading
from collections import Counter
from fcntl import ioctl

import pytest
import rnlab
from replaylab import rtnl_send
from replaylab.lab import INDEX, Changes, Lab

import routenotify

pytestmark = pytest.mark.kernel

V0, V1 = INDEX["v0"], INDEX["v1"]
GATEWAY = {4: "10.0.{}.10", 6: "2001:db8:{}::10"}
STATIC = {4: "20.0.0.0/24", 6: "fd10::/64"}
OTHER = {4: "20.0.1.0/24", 6: "fd11::/64"}
CONNECTED = {4: "10.0.0.0/24", 6: "2001:db8::/64"}

families = pytest.mark.parametrize("family", [4, 6])


def via(family: int, device: int = 0) -> str:
    """A gateway on a device, as words."""
    return f"via {gateway(family, device)} dev v{device}"


def gateway(family: int, device: int = 0) -> str:
    """Its address."""
    return str(ipaddress.ip_address(GATEWAY[family].format(device)))


def deleted(
    cause: str, next_hop: str, index: int
) -> Counter[tuple[str, str, str, int]]:
    """One DELETE."""
    return Counter({("DELETE", cause, next_hop, index): 1})


def parameter(
    cause: str, next_hop: str, index: int
) -> Counter[tuple[str, str, str, int]]:
    """One PARAMETER."""
    return Counter({("PARAMETER", cause, next_hop, index): 1})


# 1 link down -----------------------------------------------------------


def test_link_down_deletes_ipv4_routes_of_the_device(lab: Lab) -> None:
    """Static, connected and broadcast routes go; the local address stays."""
    lab.space.ip(
        f"route add 20.0.0.0/24 {via(4)}",
        f"route add 20.0.1.0/24 {via(4)} table 77",
        f"route add 20.0.2.0/24 {via(4, 1)}",
    )
    lab.watch()

    changes = lab.after("link set v0 down")

    assert changes.of("20.0.0.0/24") == deleted("link-down", "10.0.0.10", V0)
    assert changes.of("20.0.1.0/24") == deleted("link-down", "10.0.0.10", V0)
    assert changes.of("10.0.0.0/24") == deleted("link-down", "", V0)
    assert changes.of("10.0.0.255/32") == deleted("link-down", "", V0)
    assert changes.of("10.0.0.1/32", "20.0.2.0/24") == Counter()


def test_link_down_deletes_ipv6_routes_as_the_kernel_says(lab: Lab) -> None:
    """IPv6 names each row itself; none comes twice."""
    lab.space.ip(f"route add fd10::/64 {via(6)}")
    lab.watch()

    changes = lab.after("link set v0 down")

    assert changes.of("fd10::/64") == deleted("system", gateway(6), V0)


@families
def test_link_down_marks_the_hop_of_a_multipath_route_dead(
    lab: Lab, family: int
) -> None:
    """The route lives on with the other hop; the dead one says so."""
    lab.space.ip(
        f"route add {STATIC[family]} nexthop {via(family)} nexthop {via(family, 1)}"
    )
    lab.watch()

    changes = lab.after("link set v0 down")

    expected = parameter("link-down", gateway(family), V0)
    assert changes.of(STATIC[family]) == expected
    assert changes.row(STATIC[family]).state == "dead linkdown"


# 2 link removed --------------------------------------------------------


REMOVALS = {
    "deleted": ("main", "link del v0"),
    "moved": ("main", "link set v0 netns {peer}"),
    "peer-deleted": ("peer", "link del p0"),
}


@pytest.mark.parametrize("how", REMOVALS)
def test_link_removed_deletes_ipv4_routes(lab: Lab, how: str) -> None:
    """Also multipath routes with one hop there, as a whole."""
    lab.space.ip(
        f"route add 20.0.0.0/24 {via(4)}",
        f"route add 20.0.1.0/24 nexthop {via(4)} nexthop {via(4, 1)}",
    )
    lab.watch()
    where, command = REMOVALS[how]

    changes = lab.after(command, where=where)

    assert changes.of("20.0.0.0/24") == deleted("link-removed", "10.0.0.10", V0)
    expected = deleted("link-removed", "10.0.0.10", V0)
    expected += deleted("link-removed", "10.0.1.10", V1)
    assert changes.of("20.0.1.0/24") == expected


def test_link_removed_when_it_was_down_takes_the_dead_hop_s_route(lab: Lab) -> None:
    """Only DELLINK comes, and the whole multipath route is gone."""
    lab.space.ip(f"route add 20.0.1.0/24 nexthop {via(4)} nexthop {via(4, 1)}")
    lab.space.ip("addr flush dev v0 scope global", "link set v0 down")
    lab.watch()

    changes = lab.after("link del v0")

    expected = deleted("link-removed", "10.0.0.10", V0)
    expected += deleted("link-removed", "10.0.1.10", V1)
    assert changes.of("20.0.1.0/24") == expected


def test_link_removed_with_the_tun_descriptor(lab: Lab) -> None:
    """Closing /dev/net/tun deletes the device and its routes."""
    try:
        tun = os.open("/dev/net/tun", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"no tun device: {error}")
    ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"t0", 0x1001))  # TUNSETIFF
    lab.space.ip(
        "link set t0 up",
        "addr add 10.7.0.1/24 dev t0",
        "route add 20.0.0.0/24 via 10.7.0.9 dev t0",
    )
    lab.watch()

    os.close(tun)
    changes = lab.after()

    assert [c[:3] for c in changes.of("20.0.0.0/24")] == [
        ("DELETE", "link-removed", "10.7.0.9")
    ]


def test_link_removed_with_the_lower_device_of_a_macvlan(lab: Lab) -> None:
    """Deleting v0 deletes what is stacked on it."""
    lab.space.ip(
        "link add m0 link v0 index 20 type macvlan",
        "link set m0 up",
        "addr add 10.7.0.1/24 dev m0",
        "route add 20.0.0.0/24 via 10.7.0.9 dev m0",
    )
    lab.watch()

    changes = lab.after("link del v0")

    assert changes.of("20.0.0.0/24") == deleted("link-removed", "10.7.0.9", 20)


@families
def test_link_made_again_with_the_same_index_has_not_the_old_routes(
    lab: Lab, family: int
) -> None:
    """Deleted and made again within one process: what was static is gone."""
    lab.space.ip(f"route add {STATIC[family]} {via(family)}")
    lab.watch()

    changes = lab.after(
        "link del v0",
        "link add v0 index 10 type veth peer name p0 netns {peer}",
        "link set v0 up",
        "addr add 10.0.0.1/24 dev v0",
        "addr add 2001:db8:0::1/64 dev v0 nodad",
    )

    cause = "link-removed" if family == 4 else "system"
    assert changes.of(STATIC[family]) == deleted(cause, gateway(family), V0)


# 3 last address ----------------------------------------------------------


@pytest.mark.parametrize("how", ["addr del 10.0.0.1/24 dev v0", "addr flush dev v0"])
def test_last_ipv4_address_takes_all_routes_of_the_device(lab: Lab, how: str) -> None:
    """Also those that have nothing to do with it; multipath hops die."""
    lab.space.ip(
        f"route add 20.0.0.0/24 {via(4)}",
        "route add 20.0.1.0/24 dev v0",
        f"route add 20.0.2.0/24 nexthop {via(4)} nexthop {via(4, 1)}",
    )
    lab.watch()

    changes = lab.after(how)

    assert changes.of("20.0.0.0/24") == deleted("address-removed", "10.0.0.10", V0)
    assert changes.of("20.0.1.0/24") == deleted("address-removed", "", V0)
    assert changes.of("20.0.2.0/24") == parameter("address-removed", "10.0.0.10", V0)
    assert "dead" in changes.row("20.0.2.0/24").state


def test_one_of_two_ipv4_addresses_takes_nothing_else(lab: Lab) -> None:
    """Routes through the device stay while it has another address."""
    lab.space.ip("addr add 10.9.0.1/24 dev v0", f"route add 20.0.0.0/24 {via(4)}")
    lab.watch()

    changes = lab.after("addr del 10.9.0.1/24 dev v0")

    assert changes.of("20.0.0.0/24") == Counter()
    assert changes.of("10.9.0.0/24") == deleted("system", "", V0)


def test_address_added_revives_a_dead_hop(lab: Lab) -> None:
    """The dead mark of a multipath hop goes when its device gets an address."""
    lab.space.ip(
        f"route add 20.0.2.0/24 nexthop {via(4)} nexthop {via(4, 1)}",
        "addr del 10.0.0.1/24 dev v0",
    )
    lab.watch()

    changes = lab.after("addr add 10.0.0.1/24 dev v0")

    assert changes.of("20.0.2.0/24") == parameter("address-added", "10.0.0.10", V0)
    assert changes.row("20.0.2.0/24").state == ""


# 4, 5, 9 nexthop objects -------------------------------------------------


def _nexthops(lab: Lab, family: int) -> None:
    lab.space.ip(
        f"nexthop add id 1 {via(family)}",
        f"nexthop add id 2 {via(family, 1)}",
        family=f"-{family}",
    )
    lab.space.ip(
        "nexthop add id 10 group 1/2",
        f"route add {STATIC[family]} nhid 1",
        f"route add {OTHER[family]} nhid 10",
    )


@families
@pytest.mark.parametrize("how", ["nexthop del id 1", "nexthop flush"])
def test_nexthop_deleted_takes_its_routes(lab: Lab, family: int, how: str) -> None:
    """IPv4 says nothing on the route groups, IPv6 names each row."""
    _nexthops(lab, family)
    lab.space.ip("nexthop del id 10")
    lab.watch()

    changes = lab.after(how)

    cause = "nexthop-removed" if family == 4 else "system"
    assert changes.of(STATIC[family]) == deleted(cause, gateway(family), V0)


@families
def test_nexthop_group_loses_a_deleted_member(lab: Lab, family: int) -> None:
    """The hop vanishes from the route, silently in both families."""
    _nexthops(lab, family)
    lab.watch()

    changes = lab.after("nexthop del id 1")

    expected = deleted("nexthop-removed", gateway(family), V0)
    assert changes.of(OTHER[family]) == expected


@families
def test_nexthop_group_loses_the_member_whose_device_goes_down(
    lab: Lab, family: int
) -> None:
    """Only NEWLINK comes for it."""
    _nexthops(lab, family)
    lab.watch()

    changes = lab.after("link set v0 down")

    expected = deleted("link-down", gateway(family), V0)
    assert changes.of(OTHER[family]) == expected


@families
@pytest.mark.parametrize("how", REMOVALS)
def test_nexthop_group_loses_the_member_whose_device_is_removed(
    lab: Lab, family: int, how: str
) -> None:
    """The other hop stays; IPv4's was told as deleted, and as added again."""
    _nexthops(lab, family)
    lab.watch()
    where, command = REMOVALS[how]

    changes = lab.after(command, where=where)

    expected = deleted("link-removed", gateway(family), V0)
    assert changes.of(OTHER[family]) == expected


@families
def test_nexthop_replaced_renames_the_rows_of_its_routes(lab: Lab, family: int) -> None:
    """The kernel says REPLACE; we name the row that went and the one that came."""
    _nexthops(lab, family)
    lab.watch()
    other = gateway(family).removesuffix("10") + "11"

    changes = lab.after(f"nexthop replace id 1 via {other} dev v0")

    expected = deleted("replaced", gateway(family), V0)
    expected += Counter({("ADD", "system", other, V0): 1})
    assert changes.of(STATIC[family]) == expected


# 6 carrier ---------------------------------------------------------------


@families
def test_carrier_lost_takes_routes_of_nexthop_objects(lab: Lab, family: int) -> None:
    """The device stays up; routes of its nexthop objects go, groups shrink."""
    _nexthops(lab, family)
    lab.watch()

    changes = lab.after("link set p0 down", where="peer")

    cause = "link-down" if family == 4 else "system"
    assert changes.of(STATIC[family]) == deleted(cause, gateway(family), V0)
    expected = deleted("link-down", gateway(family), V0)
    assert changes.of(OTHER[family]) == expected


@families
def test_carrier_lost_and_back_marks_ordinary_routes(lab: Lab, family: int) -> None:
    """They stay; "linkdown" comes and goes as PARAMETER."""
    lab.space.ip(f"route add {STATIC[family]} {via(family)}")
    lab.watch()

    lost = lab.after("link set p0 down", where="peer")
    back = lab.after("link set p0 up", where="peer")

    assert lost.of(STATIC[family]) == parameter("link-down", gateway(family), V0)
    assert lost.row(STATIC[family]).state == "linkdown"
    assert back.of(STATIC[family]) == parameter("link-changed", gateway(family), V0)
    assert back.row(STATIC[family]).state == ""


@families
@pytest.mark.parametrize("state", ["up", "down"])
def test_carrier_flaps_faster_than_the_kernel_looks(
    lab: Lab, family: int, state: str
) -> None:
    """What it does then is told, though RTM_NEWLINK says what it said before.

    Of a bridge's carrier the kernel takes note once a second. One that is back by
    then was never lost, but a route made meanwhile has "linkdown", which is taken
    from it without a word; and the other way round.
    """
    address = {4: "10.5.0.1/24", 6: "2001:db8:5::1/64 nodad"}[family]
    hop = {4: "via 10.5.0.10", 6: "via 2001:db8:5::10"}[family]
    other = {"up": "down", "down": "up"}[state]
    lab.space.ip(
        "link add br0 type bridge forward_delay 0",
        "link add x0 type veth peer name x1",
        "link set x0 master br0 up",
        "link set x1 up",
        "link set br0 up",
        f"addr add {address} dev br0",
    )
    lab.watch()
    for number in range(1, 4):
        prefix = {4: f"192.0.{number}.0/24", 6: f"2001:db8:6:{number}::/64"}[family]
        lab.after(f"link set x1 {other}")
        lab.after(f"link set x1 {state}")  # so the next look is a second off
        lab.space.ip(f"link set x1 {other}")
        _add_once_carrier_is(other, lab, f"{prefix} {hop}")
        lab.space.ip(f"link set x1 {state}")
        rnlab.wait_for(
            lambda prefix=prefix: _state(prefix) == STATES[state],
            what=f"look at {prefix}",
        )
        lab.settle()


STATES = {"up": 0, "down": 0x10}  # RTNH_F_LINKDOWN


def _state(prefix: str) -> int:
    # Not by `ip`: when somebody asks for a link, the kernel looks at it at once.
    (row,) = (row for row in routenotify.routes() if str(row.destination) == prefix)
    return row.flags


def _add_once_carrier_is(state: str, lab: Lab, route: str) -> None:
    def made() -> bool:
        lab.space.ip(f"route add {route}")
        if _state(route.split(maxsplit=1)[0]) == STATES[state]:
            return True
        lab.space.ip(f"route del {route}")
        return False

    rnlab.wait_for(made, what=f"carrier to be {state}")


@families
def test_ignore_routes_with_linkdown_marks_them_dead(lab: Lab, family: int) -> None:
    """A setting, announced on NETCONF only."""
    lab.space.ip(f"route add {STATIC[family]} {via(family)}")
    lab.space.ip("link set p0 down", where="peer")
    lab.watch()

    name = f"ipv{family}/conf/v0/ignore_routes_with_linkdown"
    changes = lab.after_sysctl(name, "1")

    expected = parameter("config-changed", gateway(family), V0)
    assert changes.of(STATIC[family]) == expected
    assert changes.row(STATIC[family]).state == "dead linkdown"


# 7, 8 lo, and a flap too fast to see ---------------------------------------


def test_lo_down_deletes_its_broadcast_route(lab: Lab) -> None:
    """127.255.255.255 goes unsaid."""
    lab.watch()

    changes = lab.after("link set lo down")

    assert changes.of("127.255.255.255/32") == deleted("link-down", "", 1)


def test_link_down_and_up_at_once_loses_the_static_routes(lab: Lab) -> None:
    """The connected route is announced again, the static one is gone."""
    lab.space.ip(f"route add 20.0.0.0/24 {via(4)}")
    lab.watch()

    changes = lab.after("link set v0 down", "link set v0 up")

    assert changes.of("20.0.0.0/24") == deleted("link-down", "10.0.0.10", V0)


# 10, 11 settings -----------------------------------------------------------


def test_skip_notify_on_dev_down_is_seen_through(lab: Lab) -> None:
    """IPv6 is told to be silent about a link that goes down."""
    lab.space.sysctl("ipv6/route/skip_notify_on_dev_down", "1")
    lab.space.ip(f"route add fd10::/64 {via(6)}")
    lab.watch()

    changes = lab.after("link set v0 down")

    assert changes.of("fd10::/64") == deleted("link-down", gateway(6), V0)


@families
def test_compat_mode_0_says_nothing_of_nexthop_changes(lab: Lab, family: int) -> None:
    """Routes name the object only; they go with it."""
    if not lab.space.sysctl("ipv4/nexthop_compat_mode", "0"):
        pytest.skip("this kernel has no nexthop_compat_mode")
    _nexthops(lab, family)
    lab.watch()

    lab.after(f"nexthop replace id 1 via {gateway(family)}1 dev v0")
    changes = lab.after("nexthop del id 1")

    assert [c[:2] for c in changes.of(STATIC[family])] == [
        ("DELETE", "nexthop-removed")
    ]


def test_compat_mode_flipped_is_found_by_resync(lab: Lab) -> None:
    """A mute change: nothing says so, but a comparison on demand finds it."""
    _nexthops(lab, 4)
    lab.watch()
    if not lab.space.sysctl("ipv4/nexthop_compat_mode", "0"):
        pytest.skip("this kernel has no nexthop_compat_mode")

    assert lab.consumer is not None
    lab.consumer.monitor.resync()
    lab.settle()

    assert lab.differences() == ([], [])


def test_resync_takes_what_a_dump_hides_as_gone(lab: Lab) -> None:
    """A dump leaves out an entry between two IPv6 siblings: on demand it decides."""
    lab.watch()
    assert lab.consumer is not None
    for words in (via(6), "dev v0", f"via {gateway(6)}1 dev v0"):
        lab.space.ip(f"route append fd10::/64 {words}")

    lab.consumer.monitor.resync()

    told = Changes(lab.settle()).of("fd10::/64")
    assert told[("DELETE", "resync", "", V0)] == 1
    assert sum(told.values()) == 4


# 12, 13 attributes ---------------------------------------------------------


def test_ipv6_preferred_source_is_stripped_with_its_address(lab: Lab) -> None:
    """The route stays without it, in every table."""
    lab.space.ip(
        "addr add fd09::1/128 dev lo nodad",
        f"route add fd10::/64 {via(6)} src fd09::1",
        f"route add fd11::/64 {via(6)} src fd09::1 table 77",
    )
    lab.watch()

    changes = lab.after("addr del fd09::1/128 dev lo")

    for destination in ("fd10::/64", "fd11::/64"):
        expected = parameter("address-removed", gateway(6), V0)
        assert changes.of(destination) == expected
        assert changes.row(destination).prefsrc == ""


def test_ipv4_routes_go_with_their_preferred_source(lab: Lab) -> None:
    """Said by the kernel, in table main; routes of other tables stay."""
    lab.space.ip(
        "addr add 10.9.9.1/32 dev lo",
        f"route add 20.0.0.0/24 {via(4)} src 10.9.9.1",
        f"route add 20.0.1.0/24 {via(4)} src 10.9.9.1 table 77",
    )
    lab.watch()

    changes = lab.after("addr del 10.9.9.1/32 dev lo")

    assert changes.of("20.0.0.0/24") == deleted("system", "10.0.0.10", V0)


def test_device_mtu_rewrites_the_mtu_of_ipv6_routes(lab: Lab) -> None:
    """1400 becomes 1300, a locked one stays."""
    lab.space.ip(
        f"route add fd10::/64 {via(6)} mtu 1400",
        f"route add fd11::/64 {via(6)} mtu lock 1400",
    )
    lab.watch()

    changes = lab.after("link set v0 mtu 1300")

    assert changes.of("fd10::/64") == parameter("link-changed", gateway(6), V0)
    assert changes.row("fd10::/64").mtu == 1300
    assert changes.of("fd11::/64") == Counter()

    # Again, now that the reader has heard of the device before.
    changes = lab.after("link set v0 mtu 1290")

    assert changes.of("fd10::/64") == parameter("link-changed", gateway(6), V0)
    assert changes.row("fd10::/64").mtu == 1290


# What is no silent change ----------------------------------------------------


def test_bridge_port_released_deletes_nothing(lab: Lab) -> None:
    """A DELLINK of family AF_BRIDGE is not a deletion."""
    lab.space.ip("link add b0 type bridge", f"route add 20.0.0.0/24 {via(4)}")
    lab.watch()

    lab.space.ip("link set v0 master b0", "link set v0 nomaster")
    changes = lab.after(f"route add 20.0.1.0/24 {via(4)}")

    assert changes.of("20.0.0.0/24") == Counter()


@families
@pytest.mark.parametrize(
    ("words", "present"),
    [("", []), (" mtu 1400", ["PARAMETER"]), (" advmss 1300", ["PARAMETER"])],
    ids=["identical", "mtu", "advmss"],
)
def test_replace_delivers_what_changed_and_no_more(
    lab: Lab, family: int, words: str, present: list[str]
) -> None:
    """Nothing for a route replaced by itself, PARAMETER for an attribute."""
    lab.space.ip(f"route add {STATIC[family]} {via(family)}")
    lab.watch()

    lab.space.ip(f"route replace {STATIC[family]} {via(family)}{words}")
    changes = lab.after(f"route add {OTHER[family]} {via(family)}")

    assert [kind for kind, *_rest in changes.of(STATIC[family])] == present


@families
def test_replace_by_another_gateway_names_both_rows(lab: Lab, family: int) -> None:
    """DELETE of what was replaced, then ADD."""
    lab.space.ip(f"route add {STATIC[family]} {via(family)}")
    lab.watch()

    changes = lab.after(f"route replace {STATIC[family]} {via(family, 1)}")

    assert [
        (c.type.name, c.cause)
        for c in changes.all
        if str(c.destination) == STATIC[family]
    ] == [("DELETE", "replaced"), ("ADD", "system")]


# routes larger than a dump -----------------------------------------------


def test_once_a_route_too_large_for_dumps_is_gone_they_count_again(lab: Lab) -> None:
    """Only while it is there may what a dump lacks be behind it.

    One such route that came and went kept silent deletions, of either family,
    from being told for as long as the monitor lived.
    """
    first = ipaddress.ip_address(gateway(6))
    hops = [(first + n).packed for n in range(1300)]
    large = {"family": 6, "interface_index": V0}
    lab.space.ip(f"route add 20.0.0.0/24 {via(4)}")
    lab.watch()
    with rtnl_send.Sender() as sender:
        add = rtnl_send.message("add", "fd11::", 64, hops=hops, **large)
        assert sender.send([add]) == 0
        assert sender.send([rtnl_send.message("del", "fd11::", 64, **large)]) == 0
    seen = lab.settle(least=2 * len(hops))
    assert 2 * len(hops) == len([c for c in seen if str(c.destination) == OTHER[6]])

    changes = lab.after("link set v0 down")

    assert changes.of("20.0.0.0/24") == deleted("link-down", "10.0.0.10", V0)


# Questions while the table moves ---------------------------------------------


def routes6(action: str, network: str, count: int) -> list[bytes]:
    """A message for each of many /64 inside a /48."""
    first = ipaddress.IPv6Network(network).network_address
    return [
        rtnl_send.message(
            action, (first + (at << 64)).packed, 64, family=6, interface_index=V0
        )
        for at in range(count)
    ]


def test_complete_while_an_ipv6_table_moves_finds_what_stays(lab: Lab) -> None:
    """A dump in many parts may lose rows then; it was believed without a doubt."""
    over = threading.Event()
    moving = [routes6(action, "fd10::/48", 300) for action in ("add", "del")]

    def move(sender: rtnl_send.Sender) -> None:
        while not over.is_set():
            for messages in moving:
                sender.send(messages)

    with rtnl_send.Sender() as sender, rtnl_send.Sender() as other:
        sender.send(routes6("add", "fd11::/48", 4000))
        routes = [
            route
            for route in routenotify.routes(socket.AF_INET6)
            if str(route.destination).startswith("fd11:")
        ]
        thread = threading.Thread(target=move, args=[other])
        thread.start()
        try:
            for route in routes[::10]:
                route.complete()
        finally:
            over.set()
            thread.join()

    assert len(routes) == 4000


def routes4(action: str, length: int, count: int) -> list[bytes]:
    """A message for each of many metrics of one address."""
    return [
        rtnl_send.message(action, "20.0.0.0", length, metric=at + 1, interface_index=V0)
        for at in range(count)
    ]


@pytest.mark.parametrize(
    "only",
    [
        routenotify.RouteFilter(destinations="20.0.0.0/24"),
        routenotify.RouteFilter(covering="20.0.0.0/24"),
        ~routenotify.RouteFilter(more_specific="20.0.0.0/28"),
    ],
    ids=["exact", "covering", "not inside"],
)
def test_filter_of_prefixes_loses_nothing_while_their_neighbours_move(
    lab: Lab, only: routenotify.RouteFilter
) -> None:
    """The kernel keeps all lengths of an address in one leaf, and counts in it.

    The filter's program dropped the news of the others: so a dump in several parts
    that went on within the leaf was believed, and rows in it were told as deleted.
    """
    moving = [routes4(action, 28, 400) for action in ("add", "del")]

    def move(sender: rtnl_send.Sender) -> None:
        for messages in moving * 300:  # for ever, a slow reader would have no rest
            sender.send(messages)

    with rtnl_send.Sender() as sender, rtnl_send.Sender() as other:
        sender.send(routes4("add", 24, 4000))
        with routenotify.RouteMonitor(filter=only) as monitor:
            thread = threading.Thread(target=move, args=[other])
            thread.start()
            while thread.is_alive():
                with contextlib.suppress(routenotify.WaitTimeout):
                    monitor.resync()
            compared = monitor.stats.resyncs
            told = [change for change in monitor.drain() if change.cause != "system"]

    assert [] == told
    assert compared > 4
