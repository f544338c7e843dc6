"""Routes changed as fast as the kernel takes them: nothing is lost on the way."""

from __future__ import annotations

import collections
import ipaddress
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

import routenotify

COUNT = 200_000
FIRST = int(ipaddress.ip_address("20.0.0.0"))
LAST = "203.0.113.1/32"
"""Added when the flood is over; seen, everything before it has been."""

SOURCE = Path(__file__).parents[2] / "benchmarks" / "inject.c"


@pytest.fixture(scope="module")
def injector(tmp_path_factory):
    """Build benchmarks/inject.c."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to build the injector with")
    program = tmp_path_factory.mktemp("inject") / "inject"
    command = [*compiler.split(), "-std=c11", "-O2", "-o", str(program), str(SOURCE)]
    subprocess.run(command, check=True, timeout=60)
    return program


def flood(netns, injector, ops):
    """Start the injector; the route LAST follows when it has ended well."""
    netns.veth("v0")
    churn = f"{injector} --oif v0 --count {COUNT} --ops {ops}"
    line = f"{churn} && ip route add {LAST} dev v0"
    return netns.popen(
        ["sh", "-c", line], stdout=subprocess.PIPE, start_new_session=True
    )


def read_until_last(monitor):
    """Read one by one; then compare once with the system, and read that."""
    last = ipaddress.ip_network(LAST)
    changes = []
    while True:
        change = monitor.get(timeout=60)
        changes.append(change)
        if change.destination == last:
            break
    monitor.resync()
    return changes + monitor.drain()


def real_table(netns):
    """(destination, table, interface) of every IPv4 route, by iproute2."""
    index = {name: link["ifindex"] for name, link in netns.links().items()}
    return collections.Counter(
        (
            ipaddress.ip_network(route["dst"]),
            int(route.get("table", 254)),
            index[route["dev"]],
        )
        for route in netns.routes(4)
    )


def adds_up(stats):
    """Whether every change received is accounted for."""
    where = stats.delivered + stats.filtered + stats.queued + stats.conflated
    return stats.received == where


@pytest.mark.timeout(180)
def test_churn_at_full_speed_then_each_change_is_delivered(netns, injector):
    """200 000 adds and 200 000 deletes reach a Python loop, each in its order.

    With room for all of them nothing has to be merged; the kernel's buffer is
    as large as it lets us have.
    """
    with routenotify.RouteMonitor(capacity=1 << 19, rcvbuf=512 << 20) as monitor:
        process = flood(netns, injector, "ad")
        changes = read_until_last(monitor)
        stats = monitor.stats
    report = json.loads(process.communicate(timeout=60)[0])
    if stats.kernel_drops:
        pytest.skip(f"the kernel dropped {stats.kernel_drops}: no larger buffer here")

    assert (2 * COUNT, 0) == (report["count"], report["refused"])
    assert adds_up(stats)
    assert 0 == stats.conflated
    first = changes[0].sequence
    assert (
        []
        == [
            change
            for number, change in enumerate(changes, first)
            if change.sequence != number
        ][:5]
    )
    types = collections.defaultdict(list)
    for change in changes:
        types[int(change.destination.network_address), change.table].append(change.type)
    both = [routenotify.ChangeType.ADD, routenotify.ChangeType.DELETE]
    assert COUNT == sum(
        both == types[destination, 254] for destination in range(FIRST, FIRST + COUNT)
    )


@pytest.mark.timeout(180)
def test_churn_at_full_speed_then_replay_gives_the_table(netns, injector):
    """With the default queue and buffer the replay is exact, whatever overran."""
    with routenotify.RouteMonitor(snapshot=True) as monitor:
        process = flood(netns, injector, "ada")
        changes = read_until_last(monitor)
        stats = monitor.stats
    assert 0 == json.loads(process.communicate(timeout=60)[0])["refused"]

    table = {}
    for change in changes:
        if change.type is routenotify.ChangeType.DELETE:
            del table[change.key]
        else:
            table[change.key] = change
    assert adds_up(stats)
    assert COUNT < len(table)
    replayed = collections.Counter(
        (change.destination, change.table, change.interface_index)
        for change in table.values()
        if change.family == socket.AF_INET
    )
    real = real_table(netns)
    assert [] == list(real - replayed)[:5]
    assert [] == list(replayed - real)[:5]
