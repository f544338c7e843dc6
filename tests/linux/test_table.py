"""`routenotify routes` and `get` say what `ip route` says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pytest
import rncli

_ANY = {4: "0.0.0.0/0", 6: "::/0"}


@pytest.fixture
def furnished(netns):
    """A namespace with routes of many kinds."""
    netns.veth("v0", "10.0.0.1/24", "2001:db8::1/64")
    hops = [f"nexthop via fe80::{number} dev v0" for number in (2, 3)]
    netns.batch(
        [
            "route add default via 10.0.0.2 metric 20",
            "route add default via 10.0.0.3 metric 30 proto static",
            "route add 192.0.2.0/24 nexthop via 10.0.0.2 nexthop via 10.0.0.3",
            "route add blackhole 198.51.100.0/24",
            "route add unreachable 198.51.101.0/24 metric 4278198272",
            "route add 203.0.113.7 dev v0 table 1000 proto bgp",
            "route add 203.0.113.8 via inet6 fe80::8 dev v0",
            "nexthop add id 7 via 10.0.0.7 dev v0",
            "route add 203.0.113.9 nhid 7",
            "route add ::/0 via 2001:db8::2",
            f"route add 2001:db8:1::/48 {' '.join(hops)}",
            "route add prohibit 2001:db8:2::/48",
        ]
    )
    return netns


def _rows(netns, family):
    """Return what iproute2 lists, one tuple per next hop."""
    for route in netns.routes(family, details=True):
        prefix = _ANY[family] if route["dst"] == "default" else route["dst"]
        if "/" not in prefix:
            prefix += "/32" if family == 4 else "/128"
        for hop in route.get("nexthops", [route]):
            via = hop.get("via", {}).get("host")
            yield (
                prefix,
                hop.get("gateway") or via,
                hop.get("dev"),
                int(route.get("table", 254)),
                route.get("metric", 0),
                int(route["protocol"]),
                int(route["type"]),
            )


_TYPES = ["unspec", "unicast", "local", "broadcast", "anycast", "multicast"]
_TYPES += ["blackhole", "unreachable", "prohibit", "throw", "nat", "xresolve"]


def _printed(text):
    for line in text.splitlines():
        row = json.loads(line)
        yield (
            row["destination"],
            row["next_hop"],
            row["interface"],
            row["table"],
            row["metric"],
            row["protocol"],
            _TYPES.index(row["route_type"]),
        )


@pytest.mark.parametrize(("family", "name"), [(4, "inet"), (6, "inet6")])
def test_routes_json_is_what_iproute2_lists(furnished, family, name):
    """Every row of every table, none more, none less."""
    done = rncli.run(furnished, "routes", "--json", "--family", name)

    assert done.returncode == 0
    assert Counter(_printed(done.stdout)) == Counter(_rows(furnished, family))


def test_routes_is_both_families_in_aligned_lines(furnished):
    """As many lines as rows, and the interface column starts at one place."""
    done = rncli.run(furnished, "routes")
    expected = [*_rows(furnished, 4), *_rows(furnished, 6)]
    lines = done.stdout.splitlines()

    assert len(lines) == len(expected)
    assert len({line.index(" v0 ") for line in lines if " v0 " in line}) == 1
    assert "192.0.2.0/24 via 10.0.0.3 v0 proto boot" in [
        " ".join(line.split()) for line in lines
    ]


def test_routes_netns_lists_the_other_one(netns):
    """--netns looks there and not here."""
    other = netns.make_other()
    other.ip("route add 192.0.2.0/24 dev lo")
    done = rncli.run(netns, "routes", "--json", "--netns", other.path)

    assert "192.0.2.0/24" in [row[0] for row in _printed(done.stdout)]
    assert "192.0.2.0/24" not in rncli.run(netns, "routes", "--json").stdout


@pytest.mark.parametrize(
    "address",
    ["192.0.2.1", "10.0.0.9", "203.0.113.9", "8.8.8.8", "2001:db8:1::1", "2a00::1"],
)
def test_get_json_is_the_route_that_iproute2_gets(furnished, address):
    """The same next hop and device, for unicast destinations."""
    done = rncli.run(furnished, "get", "--json", address)
    taken = json.loads(furnished.ip(f"-j -N route get {address}"))[0]
    row = json.loads(done.stdout)

    assert done.returncode == 0
    assert row["interface"] == taken["dev"]
    if address != "192.0.2.1":  # two next hops: a hash of the flow chooses
        assert row["next_hop"] == taken.get("gateway")


def test_get_prints_one_line(furnished):
    """Without --json it is a line as `routes` prints it."""
    done = rncli.run(furnished, "get", "8.8.8.8")

    assert len(done.stdout.splitlines()) == 1
    assert "via 10.0.0.2" in done.stdout


def test_get_when_there_is_no_route_then_status_1_and_a_sentence(netns):
    """No route is an answer, not a traceback."""
    done = rncli.run(netns, "get", "192.0.2.1")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "routenotify: no route to 192.0.2.1\n"


def test_routes_into_a_closed_pipe_is_silent(netns):
    """`routenotify routes | head -1` prints one line and no traceback."""
    netns.batch(f"route add 192.0.{i}.0/24 dev lo" for i in range(250))
    netns.batch(f"route add 192.1.{i}.0/24 dev lo" for i in range(250))
    shell = f"'{sys.executable}' -P -m routenotify routes --json | head -1"
    with netns.entered():
        done = subprocess.run(
            shell,
            shell=True,
            capture_output=True,
            text=True,
            timeout=60,
            env=rncli.environment(),
        )

    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""
