"""How the kernel inserts, replaces and deletes: followed step by step.

After each command the replayed table must equal a fresh dump.  A command that
starts with "!" is expected to fail, and must change nothing.
"""

from collections.abc import Iterator

import pytest
from replaylab.lab import Lab
from replaylab.space import Space

pytestmark = pytest.mark.kernel

G4, H4, I4 = (f"via 10.0.0.{n} dev v0" for n in (10, 11, 12))
G6, H6, I6 = (f"via 2001:db8:0::{n} dev v0" for n in (10, 11, 12))

SCENARIOS = {
    "replace-in-appended-group": (
        f"route add 20.0.0.0/24 {G4}",
        f"route append 20.0.0.0/24 {H4}",
        f"route append 20.0.0.0/24 {I4}",
        "route replace 20.0.0.0/24 via 10.0.1.10 dev v1",
        f"!route replace 20.0.0.0/24 {H4}",
        "route replace 20.0.0.0/24 via 10.0.1.10 dev v1",
        "route del 20.0.0.0/24",
        f"route prepend 20.0.0.0/24 {G4}",
        "route del 20.0.0.0/24",
        "route del 20.0.0.0/24",
    ),
    "same-row-twice": (
        f"route add 20.0.0.0/24 {G4}",
        f"route append 20.0.0.0/24 {G4} proto 12",
        f"route append 20.0.0.0/24 {G4} mtu 1400",
        f"route append 20.0.0.0/24 {G4} src 10.0.1.1",
        "route append blackhole 20.0.0.0/24",
        f"route add 20.0.1.0/24 nexthop {G4} nexthop {G4}",
        "route del 20.0.0.0/24 proto 12",
        f"route replace 20.0.0.0/24 {H4}",
        "route del 20.0.1.0/24",
    ),
    "prepend": (
        f"route add 20.0.0.0/24 {G4}",
        f"route prepend 20.0.0.0/24 {H4}",
        f"route prepend 20.0.0.0/24 {I4}",
        "route del 20.0.0.0/24",
        "route del 20.0.0.0/24",
    ),
    "multipath": (
        f"route add 20.0.0.0/24 nexthop {G4} nexthop {H4}",
        f"route replace 20.0.0.0/24 nexthop {I4} nexthop via 10.0.1.10 dev v1",
        (
            f"route replace 20.0.0.0/24 nexthop {I4} weight 5"
            " nexthop via 10.0.1.10 dev v1 weight 2"
        ),
        f"route append 20.0.0.0/24 {G4}",
        f"route del 20.0.0.0/24 {I4}",
        f"route replace 20.0.0.0/24 nexthop {G4} nexthop {H4} nexthop {I4}",
        f"route append 20.0.0.0/24 nexthop {G4} nexthop {H4}",
        f"!route del 20.0.0.0/24 nexthop {H4} nexthop {I4}",
        "route del 20.0.0.0/24",
        "route del 20.0.0.0/24",
    ),
    "multipath-v6": (
        f"route add fd10::/64 nexthop {G6} nexthop {H6}",
        f"route replace fd10::/64 nexthop {I6} nexthop via 2001:db8:1::10 dev v1",
        (
            f"route replace fd10::/64 nexthop {I6} weight 5"
            " nexthop via 2001:db8:1::10 dev v1 weight 2"
        ),
        f"route append fd10::/64 {G6}",
        "route del fd10::/64 via 2001:db8:1::10 dev v1",
        f"route replace fd10::/64 {G6}",
        f"route replace fd10::/64 nexthop {G6} nexthop {H6} nexthop {I6}",
        (
            "route append fd10::/64 nexthop via 2001:db8:1::10 dev v1"
            " nexthop via 2001:db8:1::11 dev v1"
        ),
        f"route del fd10::/64 nexthop {H6} nexthop {I6}",
        "route del fd10::/64",
    ),
    "multipath-dup-fail-v6": (
        f"route add fd10::/64 nexthop {G6} nexthop {H6}",
        f"!route replace fd10::/64 nexthop {I6} nexthop {I6}",
        f"route append fd10::/64 nexthop {I6} nexthop via 2001:db8:1::10 dev v1",
        (
            "!route add fd11::/64 nexthop via 2001:db8:0::10 dev v0"
            " nexthop via fd77::1 dev v0"
        ),
        f"!route replace fd10::/64 nexthop {G6} nexthop via fd77::1 dev v0",
    ),
    "v6-mixed-group": (
        f"route add fd10::/64 {G6}",
        "route append fd10::/64 dev v1",
        f"route append fd10::/64 {H6}",
        f"route append fd10::/64 {I6}",
        "route append blackhole fd10::/64",
        "route append fd10::/64 dev v0",
        "route replace fd10::/64 dev v1 proto 99",
        "route replace fd10::/64 via 2001:db8:1::10 dev v1",
        "route del fd10::/64",
        "route del fd10::/64",
        "route del fd10::/64",
    ),
    "v6-dump-skips": (
        f"route add fd10::/64 {G6}",
        "route append fd10::/64 dev v1",
        f"route append fd10::/64 {H6}",
        f"route del fd10::/64 {H6}",
        f"route append fd10::/64 {I6}",
        f"route del fd10::/64 {G6}",
        "route del fd10::/64 dev v1",
    ),
    "v6-replace-makes-two-equal": (
        "route add fd10::/64 dev v0",
        "route append fd10::/64 dev v1",
        "route append blackhole fd10::/64",
        "route replace fd10::/64 dev v1",
        "route del fd10::/64 dev v1",
        "route del fd10::/64 dev v1",
    ),
    "v6-attributes-of-the-oldest-sibling": (
        f"route add fd10::/64 {G6} proto 12 mtu 1400",
        f"route append fd10::/64 {H6} proto 99 mtu 1300",
        f"route append fd10::/64 {I6} proto 77",
        f"route del fd10::/64 {G6}",
        f"route del fd10::/64 {H6}",
    ),
    "replace-among-metrics-and-tos": (
        f"route add 20.0.0.0/24 {G4} metric 10",
        f"route add 20.0.0.0/24 {G4} metric 20",
        f"route add 20.0.0.0/24 {G4} metric 10 tos 0x10",
        f"route replace 20.0.0.0/24 {H4} metric 20",
        f"route replace 20.0.0.0/24 {H4} metric 30",
        f"route replace 20.0.0.0/24 {H4}",
        f"route replace 20.0.0.0/24 {I4} tos 0x10 metric 10",
        f"route change 20.0.0.0/24 {I4}",
        "route del 20.0.0.0/24",
        "!route del 20.0.0.0/24 tos 0x08",
    ),
    "replace-types": (
        f"route add 20.0.0.0/24 {G4}",
        "route replace 20.0.0.0/24 dev v1",
        "route replace blackhole 20.0.0.0/24",
        "route replace throw 20.0.0.0/24",
        f"route replace 20.0.0.0/24 {G4}",
        f"route add fd10::/64 {G6}",
        "route replace fd10::/64 dev v1",
        "route replace blackhole fd10::/64",
        "route replace prohibit fd10::/64",
        f"route replace fd10::/64 {G6}",
    ),
    "nexthop-in-appended-group": (
        "nexthop add id 1 via 10.0.0.20 dev v0",
        f"route add 20.0.0.0/24 {G4}",
        "route append 20.0.0.0/24 nhid 1",
        f"route append 20.0.0.0/24 {H4}",
        "nexthop replace id 1 via 10.0.1.20 dev v1",
        "nexthop replace id 1 blackhole",
        "nexthop replace id 1 via 10.0.0.20 dev v0",
        "nexthop del id 1",
    ),
    "nexthop-group": (
        "nexthop add id 1 via 10.0.0.20 dev v0",
        "nexthop add id 2 via 10.0.1.20 dev v1",
        "nexthop add id 3 via 10.0.1.21 dev v1",
        "nexthop add id 10 group 1/2",
        "route add 20.0.0.0/24 nhid 10",
        "nexthop replace id 10 group 1/2/3",
        "nexthop replace id 10 group 2,3/3",
        "nexthop replace id 3 via 10.0.0.22 dev v0",
        "nexthop del id 2",
        "nexthop del id 3",
    ),
    "encap": (
        f"route add 20.0.0.0/24 encap seg6 mode encap segs fd00::1 {G4}",
        f"route append 20.0.0.0/24 encap seg6 mode encap segs fd00::2 {G4}",
        (
            f"route add 20.0.1.0/24 nexthop encap seg6 mode encap segs fd00::1 {G4}"
            f" nexthop encap seg6 mode encap segs fd00::2 {G4}"
        ),
        f"route add fd10::/64 encap seg6 mode encap segs fd00::1 {G6}",
        f"route append fd10::/64 encap seg6 mode encap segs fd00::2 {G6}",
        "route del fd10::/64",
        "route del 20.0.0.0/24",
        "route del 20.0.1.0/24",
    ),
    "via-inet6-and-onlink": (
        "route add 20.0.0.0/24 via inet6 2001:db8:0::10 dev v0",
        f"route add 20.0.1.0/24 nexthop via inet6 fe80::1 dev v0 nexthop {G4}",
        "route add 20.0.2.0/24 via 99.0.0.1 dev v0 onlink",
        "route add fd10::/64 via fd99::1 dev v0 onlink",
        "route replace 20.0.0.0/24 via 10.0.0.10 dev v0",
    ),
    "tables": (
        *tuple(
            f"route add {destination} table {table}"
            for table in (252, 253, 256, 1000, 70000, 4294967295)
            for destination in (f"20.0.0.0/24 {G4}", f"fd10::/64 {G6}")
        ),
        "route flush table 70000",
    ),
    "v6-source-prefixes": (
        f"route add fd10::/64 from fd20::/64 {G6}",
        f"route add fd10::/64 from fd21::/48 {G6}",
        f"route add fd10::/64 {G6}",
        f"route replace fd10::/64 from fd21::/48 {H6}",
        "route del fd10::/64 from fd20::/64",
    ),
    "types-by-hand": (
        "route add local 20.9.0.1/32 dev v0",
        "route add broadcast 20.9.0.255/32 dev v0",
        "route add multicast 224.9.0.0/24 dev v0",
        "route add anycast fd19::2/128 dev v0",
        "link set v0 down",
        "link set v0 up",
    ),
    "address-metric-and-promotion": (
        "addr add 10.0.0.2/24 dev v0",
        "addr add 10.0.0.3/24 dev v0",
        "addr change 10.0.0.1/24 dev v0 metric 50",
        "addr del 10.0.0.1/24 dev v0",
        "addr add 10.7.0.1/24 dev v0",
        "addr add 10.7.0.1/24 dev v1",
        "addr change 2001:db8:0::1/64 dev v0 metric 50",
        "addr add 2001:db8:0::2/64 dev v0 nodad",
        "addr del 2001:db8:0::1/64 dev v0",
        "addr flush dev v0",
    ),
    "link-mtu-below-ipv6": (
        f"route add fd10::/64 {G6}",
        "link set v0 mtu 1200",
        "link set v0 mtu 1500",
    ),
    "rename": (
        f"route add 20.0.0.0/24 {G4}",
        "link set v0 name w0",
        "link set w0 down",
        "link set w0 name v0",
        "link set v0 up",
    ),
}


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Two devices and a monitor from the start."""
    with Space() as space:
        made = Lab(space)
        made.watch()
        yield made
        made.close()


@pytest.mark.parametrize("name", SCENARIOS)
def test_replay_equals_the_dump_after_each_step(lab: Lab, name: str) -> None:
    """Whatever the kernel made of it, the delivered changes say the same."""
    for command in SCENARIOS[name]:
        failed = lab.space.batch([command.removeprefix("!")])
        assert bool(failed) == command.startswith("!"), (command, failed)
        lab.settle()


@pytest.mark.parametrize("name", SCENARIOS)
def test_replay_equals_the_dump_after_a_burst(lab: Lab, name: str) -> None:
    """The same commands with nobody looking in between."""
    lab.space.batch([command.removeprefix("!") for command in SCENARIOS[name]])

    lab.settle()
