"""Real events of a real Windows; nothing here runs under Wine.

Everything is deselected by the destination: the machine's own changes may come
in between.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform != "win32":
    pytest.skip("for real Windows only", allow_module_level=True)

sys.path.insert(0, str(Path(__file__).parent))

import realsystem

import routenotify
from routenotify import netioapi

NET4 = ipaddress.ip_network("198.51.100.0/24")
NET6 = ipaddress.ip_network("2001:db8:77::/48")


@pytest.fixture
def system() -> Iterator[realsystem.WindowsSystem]:
    """Routes on the loopback interface."""
    if not realsystem.elevated():
        pytest.fail("changing routes needs an elevated process")
    made = realsystem.WindowsSystem()
    yield made
    made.clear()


def next_of(
    monitor: routenotify.RouteMonitor, destination: object, timeout_s: float = 10
) -> routenotify.RouteChange:
    """The next change of one destination."""
    deadline = time.monotonic() + timeout_s
    while True:
        change = monitor.get(max(deadline - time.monotonic(), 0))
        if change.destination == destination:
            return change


@pytest.mark.parametrize("destination", [NET4, NET6])
def test_new_netroute_and_remove_netroute_are_seen(
    destination: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> None:
    """As an administrator makes them, with the row completed in between."""
    hop = "0.0.0.0" if destination.version == 4 else "::"
    key = f"-DestinationPrefix {destination} -InterfaceIndex 1 -NextHop {hop}"
    with routenotify.RouteMonitor() as monitor:
        realsystem.powershell(
            f"New-NetRoute {key} -RouteMetric 7 -PolicyStore ActiveStore"
        )
        try:
            added = next_of(monitor, destination)
            whole = added.complete()
        finally:
            realsystem.powershell(f"Remove-NetRoute {key} -Confirm:$false")
        kinds = []
        while routenotify.ChangeType.DELETE not in kinds:
            kinds.append(next_of(monitor, destination).type)

    assert added.type is routenotify.ChangeType.ADD
    assert added.next_hop is None
    assert added.interface_index == 1
    assert added.interface == realsystem.Iphlpapi().alias(1)
    assert whole.metric == 7
    with pytest.raises(routenotify.RouteNotFound):
        added.complete()


def test_initial_notification_comes_first(system: realsystem.WindowsSystem) -> None:
    """Before any change, once."""
    with routenotify.RouteMonitor(initial_notification=True) as monitor:
        system.add(str(NET4))
        first = monitor.get(10)
        next_of(monitor, NET4)

    assert first.type is routenotify.ChangeType.INITIAL


def test_snapshot_and_stream_give_the_table(system: realsystem.WindowsSystem) -> None:
    """200 routes appear and half of them go; then the table is compared."""
    nets = [f"198.18.{n}.0/24" for n in range(200)]
    with routenotify.RouteMonitor(socket.AF_INET, snapshot=True) as monitor:
        system.add_many(nets)
        for net in nets[::2]:
            system.remove(net)
        next_of(monitor, ipaddress.ip_network(nets[-2]))
        table = {}
        deadline = time.monotonic() + 20
        wanted = {ipaddress.ip_network(net) for net in nets[1::2]}
        while True:
            monitor.resync()
            for change in monitor.drain():
                if change.type is routenotify.ChangeType.DELETE:
                    table.pop(change.key, None)
                elif change.destination is not None:
                    table[change.key] = change
            mine = {
                route.destination
                for route in monitor.snapshot()
                if route.interface_index == 1
            }
            if wanted <= mine or time.monotonic() > deadline:
                break
        stats = monitor.stats

    assert wanted <= mine
    assert not {ipaddress.ip_network(net) for net in nets[::2]} & mine
    assert stats.malformed == 0
    assert stats.leaked == 0
    print(f"overlaps: {stats.overlaps}, synthesised: {stats.synthesised}")


def test_the_family_of_the_registration_is_honoured(
    system: realsystem.WindowsSystem,
) -> None:
    """AF_INET6 hears nothing of IPv4."""
    with routenotify.RouteMonitor(socket.AF_INET6) as monitor:
        system.add(str(NET4))
        system.add(str(NET6))
        next_of(monitor, NET6)
        families = {change.family for change in monitor.drain()}

    assert families <= {socket.AF_INET6}


def test_open_and_close_while_routes_change(system: realsystem.WindowsSystem) -> None:
    """Cancel waits for the callback in flight and never hangs."""
    for n in range(100):
        monitor = routenotify.RouteMonitor(capacity=16)
        system.add(f"198.19.{n}.0/24")
        monitor.close()
        system.remove(f"198.19.{n}.0/24")


def test_cancel_inside_the_callback(system: realsystem.WindowsSystem) -> None:
    """Where CancelMibChangeNotify2 itself would deadlock."""
    calls = []
    registered = threading.Event()
    cancelled = threading.Event()

    def callback(
        context: list[netioapi.NotificationHandle], row: object, kind: int
    ) -> None:
        calls.append(kind)
        assert registered.wait(10)
        netioapi.CancelMibChangeNotify2(context[0])
        cancelled.set()

    context: list[netioapi.NotificationHandle] = []
    context.append(netioapi.NotifyRouteChange2(socket.AF_INET, callback, context))
    registered.set()
    system.add(str(NET4))
    assert cancelled.wait(10)
    # Another registration tells when the next change has been announced.
    with routenotify.RouteMonitor(socket.AF_INET) as monitor:
        system.add("203.0.113.0/24")
        next_of(monitor, ipaddress.ip_network("203.0.113.0/24"))

    assert len(calls) == 1


def test_best_route_of_the_loopback_address() -> None:
    """GetBestRoute2, with the source address."""
    route = routenotify.best_route("127.0.0.1")

    assert route.interface_index == 1
    assert str(route.preferred_source) == "127.0.0.1"


def test_every_row_of_the_table_can_be_completed() -> None:
    """Scope ids too: what the table has, GetIpForwardEntry2 finds."""
    for route in routenotify.routes():
        try:
            assert route.complete().destination == route.destination
        except routenotify.RouteNotFound:
            assert route.key not in {r.key for r in routenotify.routes()}
