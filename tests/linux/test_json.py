"""docs/json.md and what the commands print cannot drift apart."""

from __future__ import annotations

import json
import os
import socket

import pytest
import rncli
import rnjson

from routenotify._cli._args import parser
from routenotify._cli._describe import describe

# Those of a check that cannot be made, and of other systems.
NOT_HERE = {
    f"data {name}"
    for name in (
        *("monitor.error", "table.error", "buffer.error", "self-test.error"),
        *("self-test.reason", "namespace.named[]"),
    )
}


@pytest.fixture
def computer(netns):
    """A namespace with routes of all kinds."""
    netns.veth("v0", "10.0.0.1/24", "2001:db8::1/64")
    netns.ip("route add 198.51.100.0/24 via 10.0.0.2 mtu 1400 advmss 1300")
    netns.ip("route add blackhole 203.0.113.0/24")
    netns.ip("-6 route add 2001:db8:1::/48 from 2001:db8::/64 via 2001:db8::2")
    return netns


def printed(netns, *words: str) -> list[set[str]]:
    """What a command prints, compared with the page: the keys of each object."""
    running = rncli.Running(netns, *words)
    while running.process.poll() is None:
        netns.ip("route add 192.0.2.0/24 via 10.0.0.3 table 77 proto bgp")
        netns.ip("route replace 192.0.2.0/24 via 10.0.0.3 table 77 proto bgp mtu 1300")
        netns.ip("route del 192.0.2.0/24 table 77")
    status, out, errors = running.finish(60)

    assert (0, "") == (status, errors)
    return [rnjson.check(words[0], json.loads(line)) for line in out.splitlines()]


def test_every_command_with_json_has_a_section_and_no_other_has():
    """`doctor data` is a part of doctor's."""
    commands = {
        command.name
        for command in describe(parser()).commands
        if any("--json" in option.flags for option in command.options)
    }

    assert commands == rnjson.page().keys() - {"doctor data"}


@pytest.mark.parametrize(
    "words",
    [
        ["watch", "--json", "--initial", "--count", "7"],
        ["routes", "--json"],
        ["get", "--json", "198.51.100.1"],
        ["top", "--json", "--interval", "0.5"],
        ["record", "--json", "--count", "3", "r.rtmon"],
        ["plot", "live", "--json", "--seconds", "0.7"],
    ],
    ids=lambda words: words[0],
)
def test_json_has_the_keys_and_types_of_the_page(
    computer, tmp_path, monkeypatch, words
):
    """And the page has none that no object has."""
    monkeypatch.chdir(tmp_path)
    found = printed(computer, *words)

    assert set(rnjson.page()[words[0]]) == set.union(*found)


def test_json_of_a_replay_is_that_of_watch(computer, tmp_path):
    """Of both formats."""
    for name in ("r.rtmon", "r.jsonl"):
        path = str(tmp_path / name)
        printed(computer, "record", "--json", "--count", "5", path)
        found = printed(computer, "replay", "--json", path)

        assert set(rnjson.page()["replay"]) == set.union(*found)


def test_json_of_doctor_has_the_keys_and_types_of_the_page(computer):
    """Where somebody has lost messages, so that every check has something."""
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE
    ) as deaf:
        deaf.bind((os.getpid(), 0))
        deaf.setsockopt(270, 1, 7)  # SOL_NETLINK, ADD_MEMBERSHIP, IPV4_ROUTE
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
        computer.batch(f"route add 192.0.2.{i} via 10.0.0.2" for i in range(64))
        with open("/proc/sys/net/ipv4/nexthop_compat_mode", "w") as setting:
            setting.write("0")
        (found,) = printed(computer, "doctor", "--json")
    keys = rnjson.page()
    wanted = {*keys["doctor"], *(f"data {key}" for key in keys["doctor data"])}

    assert set() == wanted - found - NOT_HERE


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"new": 1}, "record --json has new, docs/json.md has not"),
        ({"bytes": "1"}, "bytes is string, not"),
        ({"bytes": None}, "bytes is null, not"),
        ({"bytes": 1.5}, "bytes is number, not"),
        ({"routes": ...}, "record --json lacks routes"),
    ],
)
def test_the_comparison_finds_what_drifts(changes, complaint):
    """A key too many or too few, another type: each fails."""
    right = {
        **dict.fromkeys(("file", "format"), "x"),
        **dict.fromkeys(("routes", "changes", "bytes", "conflated", "overruns"), 1),
        "seconds": 0.5,
    }
    wrong = {k: v for k, v in (right | changes).items() if v is not ...}

    assert set(right) == rnjson.check("record", right)
    with pytest.raises(AssertionError, match=complaint):
        rnjson.check("record", wrong)
