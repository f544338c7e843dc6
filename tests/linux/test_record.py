"""`routenotify record` and `replay` beside iproute2's rtmon and `ip monitor file`."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
from pathlib import Path

import pytest
import rncli
import rnlab
import rnrtmon

import routenotify
from routenotify._recording._open import writer
from routenotify._recording._row import Row, unpack

SEED = int(os.environ.get("ROUTENOTIFY_TEST_SEED") or random.randrange(1 << 32))
READY = "recording; Ctrl-C ends it"


@pytest.fixture
def linked(netns):
    """A namespace with the device v0 and next hops 10.0.0.2 to 10.0.0.9."""
    netns.veth("v0", "10.0.0.1/24", "2001:db8::1/64")
    return netns


def shown(changes):
    """What matters of changes: all but when and as which number they came."""
    return [
        unpack(change.raw)._replace(sequence=0, time_ns=0, merged=1)
        for change in changes
    ]


def recorder(netns, *arguments):
    """A running `record` that has its table; SIGINT ends it."""
    process = rncli.Running(netns, "record", *arguments, error_terminal=True)
    assert READY == process.error_line()
    return process


# --- ours, read by iproute2


def test_ip_monitor_reads_what_record_wrote(linked, tmp_path):
    """Every row as iproute2 itself would have told it, and not one word more."""
    path = str(tmp_path / "r.rtmon")
    recording = recorder(linked, path)
    linked.batch(
        [
            "route add 192.0.2.0/24 via 10.0.0.2 metric 7",
            "route replace 192.0.2.0/24 via 10.0.0.2 metric 7 mtu 1400",
            "route add 198.51.100.0/24 nexthop via 10.0.0.3 nexthop via 10.0.0.4",
            "route add blackhole 203.0.113.0/24 table 1000",
            "route add 2001:db8:7::/48 via 2001:db8::2 dev v0",
            "route add 10.77.0.0/16 via inet6 2001:db8::9 dev v0",
            "route del 192.0.2.0/24 metric 7",
            "route add 10.99.0.0/16 via 10.0.0.2",
        ]
    )
    rnrtmon.await_record(path, "10.99.0.0/16")
    os.kill(recording.process.pid, signal.SIGINT)
    status, summary, _ = recording.finish()
    told = linked.run("ip", "monitor", "file", path).splitlines()
    lines = [" ".join(line.split()) for line in told]

    assert (0, True) == (status, summary.startswith(f"{path}: "))
    changes = lines[lines.index("192.0.2.0/24 via 10.0.0.2 dev v0 metric 7") :]
    changes = [line for line in changes if not line.startswith("Timestamp:")]
    assert [
        "192.0.2.0/24 via 10.0.0.2 dev v0 metric 7",
        "192.0.2.0/24 via 10.0.0.2 dev v0 metric 7 mtu 1400",
        "198.51.100.0/24 via 10.0.0.3 dev v0",
        "198.51.100.0/24 via 10.0.0.4 dev v0",
        "blackhole 203.0.113.0/24 table 1000",
        "2001:db8:7::/48 via 2001:db8::2 dev v0 metric 1024 pref medium",
        "10.77.0.0/16 via inet6 2001:db8::9 dev v0",
        "Deleted 192.0.2.0/24 via 10.0.0.2 dev v0 metric 7 mtu 1400",
        "10.99.0.0/16 via 10.0.0.2 dev v0",
    ] == [line.replace(" proto boot", "") for line in changes]
    assert any(line.endswith(": v0: <>") for line in lines)


@pytest.mark.parametrize("name", ["r.rtmon", "r.jsonl"])
def test_what_was_delivered_is_replayed_to_the_byte(linked, tmp_path, name):
    """The table, silent changes with their causes and the markers among them."""
    path = tmp_path / name
    kind = "json" if name.endswith("l") else "rtmon"
    with (
        routenotify.RouteMonitor(snapshot=True, markers=True) as monitor,
        open(path, "wb") as file,
    ):
        linked.ip("route add 192.0.2.0/24 via 10.0.0.2")
        linked.ip("link set v0 down")
        linked.ip("route add blackhole 203.0.113.0/24")
        delivered = []
        while not delivered or str(delivered[-1].destination) != "203.0.113.0/24":
            delivered.append(monitor.get(10))
        monitor.resync()
        delivered += monitor.drain()
        out = writer(file, kind)
        for change in delivered:
            out.write(change)
    with routenotify.replay(path, markers=True) as again:
        replayed = list(again)

    assert [change.raw for change in delivered] == [change.raw for change in replayed]
    assert {"snapshot", "link-down"} < {change.cause for change in replayed}
    assert "v0" in {c.interface for c in replayed if c.cause == "link-down"}


# --- rtmon's, read by us


def random_commands(rng, count):
    """`ip` commands that change routes in every way there is; some will fail."""
    lines = []
    for _ in range(count):
        ip6 = rng.random() < 0.4
        number = rng.randrange(12)
        prefix = f"2001:db8:{number:x}00::/48" if ip6 else f"10.{100 + number}.0.0/16"

        def hop(ip6=ip6):
            last = rng.randrange(2, 6)
            via = f"2001:db8::{last}" if ip6 else f"10.0.0.{last}"
            return f"via {via} dev v0"

        verb = rng.choice(["add", "append", "replace", "change", "prepend", "del"])
        words = [f"route {verb} {prefix}"]
        if rng.random() < 0.5:
            words.append(f"metric {rng.choice([5, 6])}")
        if verb != "del" and rng.random() < 0.3:
            words.append(f"proto {rng.choice([4, 12, 186])}")
        if verb != "del" and rng.random() < 0.3:
            words.append(f"mtu {rng.choice([1300, 1400])}")
        if rng.random() < 0.2:
            words.append(f"nexthop {hop()} nexthop {hop()}")
        elif verb != "del" or rng.random() < 0.3:
            words.append(hop())
        lines.append(" ".join(words))
    return lines


def beside_rtmon(netns, path, change):
    """What a monitor delivers and what rtmon's file replays of the same news.

    Both begin in a namespace with nothing but lo; `change` makes the news. A
    route to rnrtmon.LAST is the last.
    """
    with rnrtmon.running(netns, path), routenotify.RouteMonitor() as monitor:
        netns.veth("v0", "10.0.0.1/24", "2001:db8::1/64")
        change()
        # A carrier that this took is acted on later: told to one and not to the other.
        netns.settle()
        monitor.resync()  # what is silent comes now
        rnrtmon.end(netns)
        live = [monitor.get(10)]
        while str(live[-1].destination) != rnrtmon.LAST:
            live.append(monitor.get(10))
        return live, rnrtmon.replayed(path)


def table_of(rows: list[Row]) -> dict[tuple[object, ...], Row]:
    """The rows that are there after some changes, whatever their causes."""
    table = {}
    for row in rows:
        key = (*row[3:6], row.interface_index, row.table, row.metric, row.ordinal)
        key += (row.ip_version, row.prefix_length, row.source_length, row.tos)
        if row.type == routenotify.ChangeType.DELETE:
            table.pop(key, None)
        else:
            table[key] = row._replace(type=1, cause=0)
    return table


def test_rtmons_messages_become_the_rows_that_a_monitor_delivers(netns, tmp_path):
    """The same rows in the same order, ordinals, types and causes included."""
    print(f"ROUTENOTIFY_TEST_SEED={SEED}")
    rng = random.Random(SEED)
    path = tmp_path / "kernel.rtmon"
    commands = random_commands(rng, 600)
    live, replayed = beside_rtmon(
        netns, path, lambda: netns.batch(commands, force=True)
    )
    # Now and then, after an IPv6 route changed in a way that its messages do not
    # tell, the monitor has to ask the kernel. A recording cannot.
    asked = {row.destination for row in shown(live) if row.cause == 2}
    told = [row for row in shown(live) if row.destination not in asked]
    mine = [row for row in shown(replayed) if row.destination not in asked]

    assert len(told) > 0.8 * len(live)
    assert len(told) > 200
    assert {4, 6} == {row.ip_version for row in told}
    assert told == mine
    assert table_of(told) == table_of(mine)


def test_rtmons_links_take_their_routes_with_them(netns, tmp_path):
    """A device set down, up and deleted: the same table in the end."""

    def change():
        netns.veth("w0", "10.9.0.1/24")
        netns.batch(
            [
                "route add 192.0.2.0/24 via 10.0.0.2",
                "route add 198.51.100.0/24 nexthop via 10.0.0.3 nexthop via 10.9.0.2",
                "route add 203.0.113.0/24 via 10.9.0.2",
                "link set v0 down",
            ]
        )

    live, replayed = beside_rtmon(netns, tmp_path / "down.rtmon", change)
    down = {
        str(change.destination) for change in replayed if change.cause == "link-down"
    }

    assert {"192.0.2.0/24", "10.0.0.0/24"} <= down
    assert table_of(shown(live)) == table_of(shown(replayed))


def test_rtmons_deleted_link_takes_its_routes_with_it(netns, tmp_path):
    """IPv4 ones as a whole, though the kernel is silent about them."""

    def change():
        netns.veth("w0", "10.9.0.1/24")
        netns.batch(
            [
                "route add 198.51.100.0/24 nexthop via 10.0.0.3 nexthop via 10.9.0.2",
                "route add 203.0.113.0/24 via 10.9.0.2",
                "link del w0",
            ]
        )

    live, replayed = beside_rtmon(netns, tmp_path / "gone.rtmon", change)

    assert table_of(shown(live)) == table_of(shown(replayed))
    assert "203.0.113.0/24" not in {str(c.destination) for c in replayed[-3:]}


SIBLINGS = [
    "link set w0 up",
    "route add 2001:db8:1::/48 via 2001:db8::2 dev v0",
    "route append 2001:db8:1::/48 via 2001:db8:9::2 dev w0",
    "route append 2001:db8:1::/48 via 2001:db8::3 dev v0",
    "route del 2001:db8:1::/48 via 2001:db8::2 dev v0",
    "route add 2001:db8:2::/48 nexthop via 2001:db8::2 nexthop via 2001:db8:9::2",
    "route change 2001:db8:2::/48 via 2001:db8:9::2 dev w0 mtu 1400",
    "route append 2001:db8:2::/48 via 2001:db8::4 dev v0",
    "route add 2001:db8:3::/48 nexthop via 2001:db8::2 nexthop via 2001:db8:9::2",
    "route replace 2001:db8:3::/48 nexthop via 2001:db8::5 nexthop via 2001:db8:9::5",
    "route add 2001:db8:4::/48 nexthop via 2001:db8::2 nexthop via 2001:db8:9::2",
    "route del 2001:db8:4::/48 via 2001:db8::2 dev v0",
    "route del 2001:db8:4::/48 via 2001:db8:9::2 dev w0",
    "route add 2001:db8:5::/48 nexthop via 2001:db8::2 nexthop via 2001:db8:9::2",
    "route del 2001:db8:5::/48",
    # of a daemon that handles router advertisements: siblings all the same
    "route add 2001:db8:6::/48 via 2001:db8:9::2 dev w0 proto ra",
    "route append 2001:db8:6::/48 via 2001:db8::2 proto ra",
    "route append 2001:db8:6::/48 via 2001:db8::3 proto ra",
    "route del 2001:db8:6::/48 via 2001:db8::2 proto ra",
    "route replace 2001:db8:6::/48 via 2001:db8::4 proto ra",
    "route append 2001:db8:6::/48 via 2001:db8:9::2 dev w0",
    # one hop of an object goes, the other stays
    "nexthop add id 1 via 10.9.0.2 dev w0",
    "nexthop add id 2 via 10.0.0.2 dev v0",
    "nexthop add id 3 group 1/2",
    "route add 192.0.2.0/24 nhid 3",
]


@pytest.mark.parametrize("end", ["link set w0 down", "link del w0"])
def test_rtmons_siblings_come_and_go_one_by_one(netns, tmp_path, end):
    """IPv6 routes of several hops, hop by hop; then the device of some is gone."""

    def change():
        netns.veth("w0", "10.9.0.1/24", "2001:db8:9::1/64")
        netns.batch(SIBLINGS)
        netns.ip(end)

    live, replayed = beside_rtmon(netns, tmp_path / "siblings.rtmon", change)

    assert table_of(shown(live)) == table_of(shown(replayed))
    left = {(str(c.destination), str(c.next_hop)) for c in replayed}
    assert ("2001:db8:1::/48", "2001:db8:9::2") in left


def test_rtmons_siblings_are_what_they_were_before_others_are(netns, tmp_path):
    """A hop of which the same is said goes on first, and with its own ordinal.

    The replayed rows had them in the message's order, and the ordinal of the
    first of two hops with one gateway went to the second when the first was gone.
    """
    hop, other = (f"via 2001:db8::{n} dev v0" for n in (2, 3))
    seven, eight = (f"encap ip id {n} dst 10.0.0.{n} {hop}" for n in (7, 8))

    def change():
        netns.batch(
            [
                f"route add 2001:db8:1::/48 {hop} mtu 1300",
                f"route append 2001:db8:1::/48 {other}",
                f"route replace 2001:db8:1::/48 nexthop {hop} nexthop {other}",
                f"route add 2001:db8:2::/48 {seven}",
                f"route append 2001:db8:2::/48 {eight}",
                f"route del 2001:db8:2::/48 {seven}",
            ]
        )

    live, replayed = beside_rtmon(netns, tmp_path / "alike.rtmon", change)
    told = [
        row for row in shown(live) if (48, 6) == (row.prefix_length, row.ip_version)
    ]

    assert [1, 1, 0, 0, 1, 1, 2] == [row.type for row in told]
    assert [0, 0, 0, 0, 0, 1, 0] == [row.ordinal for row in told]
    assert shown(live) == shown(replayed)


def test_rtmons_nexthop_objects_change_under_their_routes(netns, tmp_path):
    """The kernel tells the routes of an object again when it is another."""

    def change():
        netns.batch(
            [
                "nexthop add id 1 via 10.0.0.2 dev v0",
                "nexthop add id 2 via 2001:db8::2 dev v0",
                "route add 192.0.2.0/24 nhid 1",
                "route append 192.0.2.0/24 via 10.0.0.9",
                "route add 2001:db8:7::/48 nhid 2",
                "nexthop replace id 1 via 10.0.0.3 dev v0",
                "nexthop replace id 2 via 2001:db8::3 dev v0",
                "nexthop replace id 2 via 2001:db8::4 dev v0",
                "route del 192.0.2.0/24 nhid 1",
                "route del 2001:db8:7::/48 nhid 2",
            ]
        )

    live, replayed = beside_rtmon(netns, tmp_path / "objects.rtmon", change)

    assert table_of(shown(live)) == table_of(shown(replayed))
    gone = [c for c in replayed if c.type == routenotify.ChangeType.DELETE]
    assert ["10.0.0.3", "2001:db8::4"] == [str(c.next_hop) for c in gone[-2:]]


def test_rtmons_messages_tell_a_daemons_routes_of_protocol_ra(netns, tmp_path):
    """By the port of the program that made one, which the kernel has none of.

    A single one was taken for the kernel's own, and `replace` for what had
    replaced it.
    """

    def change():
        netns.batch(
            [
                "route add 2001:db8:1::/48 via 2001:db8::2 dev v0 proto ra",
                "route append throw 2001:db8:1::/48",
                "route replace unreachable 2001:db8:1::/48",
            ]
        )

    live, replayed = beside_rtmon(netns, tmp_path / "ra.rtmon", change)

    def left(changes):
        return {
            (row.protocol, row.route_type)
            for row in table_of(shown(changes)).values()
            if row.prefix_length == 48
        }

    assert {(9, 1), (3, 7)} == left(live) == left(replayed)


def test_rtmons_ipv6_hops_stay_dead_until_their_link_is_ready(netns, tmp_path):
    """Those of a link that came up without a carrier were brought to life."""

    def change():
        netns.veth("w0", "10.9.0.1/24", "2001:db8:9::1/64")
        hops = "nexthop via 2001:db8::2 nexthop via 2001:db8:9::2"
        netns.ip(f"route add 2001:db8:1::/48 {hops}")
        for command in ("link set v0 down", "link set v0p down", "link set v0 up"):
            netns.ip(command)
            netns.settle()

    live, replayed = beside_rtmon(netns, tmp_path / "dead.rtmon", change)
    flags = {
        row.next_hop[5]: row.flags
        for row in table_of(shown(replayed)).values()
        if row.prefix_length == 48
    }

    assert {0: 0x11, 9: 0} == flags
    assert table_of(shown(live)) == table_of(shown(replayed))


def test_rtmons_single_ipv6_routes_go_by_their_message(netns, tmp_path):
    """Or stay as they are: the kernel passes over one that is among siblings.

    It was told as without carrier, which it never was.
    """

    def change():
        netns.veth("w0", "10.9.0.1/24", "2001:db8:9::1/64")
        netns.batch(
            [
                "route add 2001:db8:1::/48 via 2001:db8::2 dev v0",
                "route append 2001:db8:1::/48 dev w0",
                "route append 2001:db8:1::/48 via 2001:db8:9::2 dev w0",
                "link set w0 down",
            ]
        )

    _, replayed = beside_rtmon(netns, tmp_path / "over.rtmon", change)
    told = [
        change for change in replayed if str(change.destination) == "2001:db8:1::/48"
    ]

    assert [1, 1, 1, 0] == [change.type for change in told]
    assert "2001:db8:9::2" == str(told[-1].next_hop)


def test_rtmons_routes_of_an_object_go_with_it_whatever_their_scope(netns, tmp_path):
    """Of scope host only those without an object stay, when a link goes down."""

    def change():
        netns.batch(
            [
                "nexthop add id 1 dev v0",
                "route add 192.0.2.0/24 nhid 1 scope host",
                "route add 198.51.100.0/24 dev v0 scope host",
                "link set v0 down",
            ]
        )

    live, replayed = beside_rtmon(netns, tmp_path / "scope.rtmon", change)
    left = {row.destination[0] for row in table_of(shown(replayed)).values()}

    assert {198} == left & {192, 198}
    assert table_of(shown(live)) == table_of(shown(replayed))


def test_rtmons_anycast_routes_of_a_program_lose_their_carrier(netns, tmp_path):
    """Unlike the kernel's own, which were taken for the same."""

    def change():
        netns.batch(
            [
                "address add 2001:db8:5::1/64 dev v0",
                "route add anycast 2001:db8:6::1 dev v0",
                "route add local 2001:db8:7::1 dev v0",
                "link set v0p down",
            ]
        )

    netns.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")
    live, replayed = beside_rtmon(netns, tmp_path / "anycast.rtmon", change)
    flags = {
        (row.destination[5], row.metric): row.flags
        for row in table_of(shown(replayed)).values()
        if row.route_type == 4 and row.destination[:4] == b"\x20\x01\x0d\xb8"
    }

    assert {(0, 0): 0, (5, 0): 0, (6, 1024): 0x10} == flags
    assert table_of(shown(live)) == table_of(shown(replayed))


MTUS = [
    "link set v0 mtu 1400",
    "route add 2001:db8:1::/48 via 2001:db8::2 dev v0",
    "route add 2001:db8:2::/48 via 2001:db8::2 dev v0 mtu 1400",
    "route add 2001:db8:3::/48 via 2001:db8::2 dev v0 mtu 1350",
    "route add 2001:db8:4::/48 via 2001:db8::2 dev v0 mtu lock 1400",
    "route add 2001:db8:5::/48 via 2001:db8::2 dev v0 mtu 1400",
    "route append 2001:db8:5::/48 via 2001:db8:9::2 dev w0 mtu 1400",
    "route add 2001:db8:6::/48 nhid 3 mtu 1400",
    "route add 192.0.2.0/24 via 10.0.0.2 dev v0 mtu 1400",
]


@pytest.mark.parametrize(
    ("steps", "mtus"),
    [
        ([1300], (None, 1300, 1300, 1400, 1300, 1300)),
        ([1500], (None, 1500, 1350, 1400, 1500, 1500)),
        ([1300, 1500], (None, 1500, 1500, 1400, 1500, 1500)),
        ([], (None, 1400, 1350, 1400, 1400, 1400)),
    ],
)
def test_rtmons_ipv6_routes_follow_the_mtu_of_their_link(netns, tmp_path, steps, mtus):
    """Where one was set, and not locked; no route message says so."""

    def change():
        netns.veth("w0", "10.9.0.1/24", "2001:db8:9::1/64")
        netns.batch(
            [
                "nexthop add id 1 via 2001:db8::2 dev v0",
                "nexthop add id 2 via 2001:db8:9::2 dev w0",
                "nexthop add id 3 group 2/1",
                *MTUS,
                *(f"link set v0 mtu {mtu}" for mtu in steps),
            ]
        )

    live, replayed = beside_rtmon(netns, tmp_path / "mtu.rtmon", change)
    mine = [
        row for row in shown(replayed) if (48, 6) == (row.prefix_length, row.ip_version)
    ]
    found = {row.destination[5]: row.mtu or None for row in table_of(mine).values()}

    assert dict(enumerate(mtus, 1)) == found
    assert table_of(shown(live)) == table_of(shown(replayed))
    assert {0, 6} >= {row.cause for row in mine}  # the system's word, link-changed


OBJECTS6 = [
    "link set w0 up",
    "nexthop add id 1 via 2001:db8::2 dev v0",
    "nexthop add id 2 via 2001:db8::3 dev v0",
    "nexthop add id 3 via 2001:db8:9::2 dev w0",
    "nexthop add id 4 group 1/2",
    "nexthop add id 5 group 1/2/3",
    "route add 2001:db8:1::/48 nhid 4",
    "route add 2001:db8:2::/48 nhid 5",
]


@pytest.mark.parametrize("end", ["link set v0 down", "link del v0"])
def test_rtmons_ipv6_groups_of_objects_go_once(netns, tmp_path, end):
    """One message tells that a route through a group is gone, with its last hop.

    The replay took all the hops off before the message, for a link that went
    down, and told its hop once more, as of a route older than the recording.
    """

    def change():
        netns.veth("w0", "10.9.0.1/24", "2001:db8:9::1/64")
        netns.batch(OBJECTS6)
        netns.ip(end)

    live, replayed = beside_rtmon(netns, tmp_path / "groups.rtmon", change)

    def gone(changes):
        return [
            (str(change.next_hop), change.cause)
            for change in changes
            if change.type.name == "DELETE"
            and str(change.destination) == "2001:db8:1::/48"
        ]

    expected = [("2001:db8::2", "system"), ("2001:db8::3", "system")]
    assert expected == gone(live) == gone(replayed)
    assert table_of(shown(live)) == table_of(shown(replayed))


# --- the commands


def test_record_ends_as_asked_and_says_what_it_has(linked, tmp_path):
    """--count and --json: the summary's keys are stable."""
    path = str(tmp_path / "r.jsonl")
    recording = recorder(linked, "--json", "--count", "2", "--family", "inet", path)
    linked.ip("route add 192.0.2.0/24 via 10.0.0.2")
    linked.ip("route del 192.0.2.0/24")
    status, out, _ = recording.finish()
    summary = json.loads(out)

    assert 0 == status
    assert {"file", "format", "routes", "changes", "bytes", "seconds"} | {
        "conflated",
        "overruns",
    } == summary.keys()
    assert (path, "json", 2) == tuple(summary[k] for k in ("file", "format", "changes"))
    assert os.path.getsize(path) == summary["bytes"]
    with routenotify.replay(path) as again:
        causes = [change.cause for change in again]
    assert summary["routes"] == causes.count("snapshot")


def test_record_in_time_and_without_the_table(linked, tmp_path):
    """--duration and --changes: nothing happens, nothing is in the file."""
    path = tmp_path / "r"
    done = rncli.run(linked, "record", "--duration", "0.2", "--changes", str(path))

    assert (0, "") == (done.returncode, done.stderr)
    assert re.fullmatch(
        rf"{re.escape(str(path))}: 0 routes, 0 changes, 0 bytes in \d+\.\d s\n",
        done.stdout,
    )
    assert b"" == path.read_bytes()


def test_what_cannot_be_recorded_costs_no_recording(linked, tmp_path):
    """A misspelt namespace emptied FILE before it was noticed."""
    path = tmp_path / "precious.rtmon"
    path.write_bytes(b"precious")
    done = rncli.run(linked, "record", "--netns", "no-such-name", str(path))

    assert (1, "") == (done.returncode, done.stdout)
    assert "no-such-name" in done.stderr
    assert b"precious" == path.read_bytes()


def test_record_ends_as_orderly_when_it_is_terminated(linked, tmp_path):
    """`timeout`, systemd: a message was cut off, and there was no summary."""
    path = tmp_path / "r.rtmon"
    recording = recorder(linked, str(path))
    linked.ip("route add 192.0.2.0/24 via 10.0.0.2")
    rnrtmon.await_record(path, "192.0.2.0/24")
    recording.process.terminate()
    status, summary, _ = recording.finish()

    assert 0 == status
    assert summary.startswith(f"{path}: ")
    assert f" {path.stat().st_size} bytes in " in summary
    with routenotify.replay(path) as again:
        assert "192.0.2.0/24" in {str(change.destination) for change in again}


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_record_into_stdout_leaves_it_to_the_data(linked, name):
    """It failed at the end, asking a pipe where it was; the summary is on stderr."""
    words = ("--format", "json", "--changes", name)
    recording = recorder(linked, "--count", "2", "--json", *words)
    linked.ip("route add 192.0.2.0/24 via 10.0.0.2")
    first = recording.line()  # as soon as it is there
    linked.ip("route del 192.0.2.0/24")
    status, rest, summary = recording.finish()
    lines = [first, *rest.splitlines()]
    told = json.loads(summary)

    assert 0 == status
    assert ["ADD", "DELETE"] == [json.loads(line)["type"] for line in lines]
    assert {"file": name, "changes": 2, "bytes": len(first) + 1 + len(rest)} == {
        key: told[key] for key in ("file", "changes", "bytes")
    }


def test_record_into_a_fifo_is_replayed_as_it_happens(linked, tmp_path):
    """Each change as soon as it is made; the summary is on stdout."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    process = rncli.Running(linked, "record", "--changes", "--count", "2", str(path))
    with open(path, "rb") as fifo:
        linked.ip("route add 192.0.2.0/24 via 10.0.0.2")
        with routenotify.replay(fifo.fileno()) as monitor:
            assert "192.0.2.0/24" == str(monitor.get(10).destination)
            linked.ip("route del 192.0.2.0/24")
            assert "DELETE" == monitor.get(10).type.name
            with pytest.raises(routenotify.MonitorClosed):
                monitor.get(10)
    status, summary, _ = process.finish()

    assert 0 == status
    assert summary.startswith(f"{path}: 0 routes, 2 changes, ")


def test_replay_of_stdin_prints_what_is_there(linked):
    """Line by line as it comes; the errors of a pipe have offsets too."""
    replay = linked.popen(
        rncli.words("replay", "--json", "-"),
        env=rncli.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    for destination in ("10.0.0.0/8", "2001:db8::/32"):
        line = json.dumps({"type": "ADD", "destination": destination})
        replay.stdin.write(line.encode() + b"\n")
        replay.stdin.flush()
        assert destination == json.loads(replay.stdout.readline())["destination"]
    out, err = replay.communicate(b'{"type": "ADD"}\n', timeout=60)

    assert (1, b"") == (replay.returncode, out)
    assert b"offset " in err
    assert b"destination=None" in err


def test_replay_prints_what_watch_printed(linked, tmp_path):
    """Line by line the same JSON, names of interfaces included."""
    path = tmp_path / "r.rtmon"
    recording = recorder(linked, "--count", "3", str(path))
    watch = rncli.Running(
        linked, "watch", "--json", "--count", "3", error_terminal=True
    )
    watch.error_line()
    linked.ip("route add 192.0.2.0/24 via 10.0.0.2")
    linked.ip("route add 198.51.100.0/24 nexthop via 10.0.0.3 nexthop via 10.0.0.4")
    recording.finish()
    _, watched, _ = watch.finish()
    linked.ip("link del v0")  # the names are the recording's
    done = rncli.run(linked, "replay", "--json", "--changes", str(path))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    expected = [json.loads(line) for line in watched.splitlines()]
    for line in lines + expected:
        del line["time_ns"], line["sequence"]  # each monitor's own

    assert (0, "") == (done.returncode, done.stderr)
    assert expected == lines
    assert {"v0"} == {line["interface"] for line in lines}


def test_replay_of_a_cut_file_prints_what_is_whole_then_fails(linked, tmp_path):
    """Status 1, one line on stderr with the offset."""
    path = tmp_path / "r.rtmon"
    rncli.run(linked, "record", "--duration", "0.1", str(path))
    whole = rncli.run(linked, "replay", str(path)).stdout.splitlines()
    path.write_bytes(path.read_bytes()[:-7])
    done = rncli.run(linked, "replay", str(path))

    assert 1 == done.returncode
    assert whole[:-2] == done.stdout.splitlines()[: len(whole) - 2]
    assert f"{str(path)!r}: offset " in done.stderr
    assert 1 == done.stderr.count("\n")


def test_replay_at_no_speed_says_what_it_wants(linked):
    """A factor; it asked for seconds."""
    done = rncli.run(linked, "replay", "--speed", "0", "-")

    assert (2, "") == (done.returncode, done.stdout)
    assert done.stderr.endswith("argument --speed: a factor above 0, not '0'\n")


@pytest.mark.parametrize("words", [("replay", "-"), ("plot", "-", "--json")])
def test_replay_of_a_closed_stdin_says_so(linked, words):
    """As `<&-` leaves it; it ended in a traceback."""
    shell = ["sh", "-c", 'exec "$@" <&-', "sh"]
    process = linked.popen(
        [*shell, *rncli.words(*words)],
        env=rncli.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out, err = process.communicate(timeout=60)

    assert (1, "") == (process.returncode, out)
    assert "routenotify: -: standard input is closed\n" == err


def test_replay_of_no_recording_fails_at_once(linked, tmp_path):
    """So does a missing file: one line each, status 1."""
    for path in (tmp_path / "none", "/proc/self/exe"):
        done = rncli.run(linked, "replay", str(path))

        assert (1, "") == (done.returncode, done.stdout)
        assert 1 == done.stderr.count("\n")
        assert str(path) in done.stderr


def test_a_long_replay_shows_a_bar_on_a_terminal_only(linked, tmp_path):
    """On stderr while lines go elsewhere; without the library rich, too."""
    path = tmp_path / "slow.jsonl"
    with open(path, "w") as file:
        for number in range(20):
            line = {
                "type": "ADD",
                "destination": f"10.{number}.0.0/16",
                "time_ns": 10**18 + number * 10**8,
            }
            print(json.dumps(line), file=file)
    (tmp_path / "rich.py").write_text('raise ImportError("none here")')
    found = f"{tmp_path}{os.pathsep}{rncli.PACKAGE.parent}"
    words = ("replay", "--speed", "1", "--json", str(path))
    bar = rncli.Running(linked, *words, error_terminal=True, PYTHONPATH=found)
    status, out, err = bar.finish(30)
    quiet = rncli.run(linked, "replay", "--speed", "1", str(path), PYTHONPATH=found)

    assert (0, 20) == (status, len(out.splitlines()))
    assert "\rreplaying [####" in err
    assert err.endswith(" \r")  # and is taken away
    assert "" == quiet.stderr


def test_plot_says_what_it_needs_before_it_begins(linked, tmp_path):
    """Not after a minute of following: matplotlib's absence, a wrong suffix."""
    (tmp_path / "matplotlib.py").write_text('raise ImportError("none here")')
    found = f"{tmp_path}{os.pathsep}{rncli.PACKAGE.parent}"
    done = rncli.run(linked, "plot", "live", "-o", "x.png", PYTHONPATH=found)

    assert (1, "") == (done.returncode, done.stdout)
    assert (
        "routenotify: plot needs matplotlib (none here): "
        "pip install 'routenotify[cli]'\n" == done.stderr
    )


def test_plot_live_counts_what_happens(linked):
    """The numbers, which need no library: keys are stable."""
    plot = rncli.Running(linked, "plot", "live", "--json", "--seconds", "3")
    number = 0
    while plot.process.poll() is None:
        linked.ip("route add 192.0.2.0/24 via 10.0.0.2")
        linked.ip("route del 192.0.2.0/24 via 10.0.0.2")
        number += 1
    status, out, _ = plot.finish(20)
    story = json.loads(out)
    top = story["flaps"][0]

    assert 0 == status
    assert {"start_ns", "seconds", "changes", "merged", "routes", "flaps", "bins"} == (
        story.keys()
    )
    assert {"seconds", "ADD", "PARAMETER", "DELETE", "routes"} == story["bins"].keys()
    assert "192.0.2.0/24" == top["destination"]
    assert 0 < top["flaps"] <= number
    assert sum(story["bins"]["ADD"]) == story["changes"]["ADD"]
    assert story["bins"]["routes"][-1] == story["routes"]["end"]


def test_plot_live_tells_what_there_was_when_it_is_terminated(linked):
    """SIGTERM in the middle left neither numbers nor a picture."""
    plot = rncli.Running(linked, "plot", "live", "--json", "--seconds", "3600")

    def follows():
        status = Path(f"/proc/{plot.process.pid}/status").read_text()
        caught = int(re.search(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)[1], 16)
        return caught >> (signal.SIGTERM - 1) & 1

    rnlab.wait_for(follows, 20, "a handler of SIGTERM")
    plot.process.terminate()
    status, out, err = plot.finish()

    assert (0, "") == (status, err)
    assert json.loads(out)["seconds"] < 3600
