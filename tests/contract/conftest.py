"""A system whose routes the contract's tests may change.

The tests of this folder hold on every platform. What they need of one is the
fixture `system`; on Linux that is a network namespace of the test's own.
"""

from __future__ import annotations

import concurrent.futures
import ipaddress
import itertools
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
import rnlab

import routenotify


class System:
    """Changes routes the way an administrator would."""

    def __init__(self, namespace: rnlab.Namespace) -> None:
        self.namespace = namespace
        namespace.veth("v0", "192.0.2.1/24", "2001:db8:ffff::1/64")
        self.interface = "v0"
        self.source = "192.0.2.1"  # what it sends from
        self.interface_index = socket.if_nametoindex("v0")

    def _route(self, verb: str, destination: str, rest: str = "") -> None:
        version = ipaddress.ip_network(destination).version
        self.namespace.ip(f"-{version} route {verb} {destination} dev v0 {rest}")

    def add(self, destination: str, via: str | None = None) -> None:
        """Add a route through the interface."""
        self._route("add", destination, f"via {via}" if via else "")

    def add_many(self, destinations: list[str]) -> None:
        """Add routes through the interface as fast as they can be."""
        self.namespace.batch(f"route add {one} dev v0" for one in destinations)

    def change(self, destination: str) -> None:
        """Change an attribute, and no part of the key."""
        self._route("change", destination, "mtu 1400")

    def remove(self, destination: str) -> None:
        """Remove it."""
        self._route("del", destination)

    def settle(self, *monitors: routenotify.RouteMonitor) -> None:
        """Return when every change is queued; they were opened before the first."""
        for monitor in monitors:
            monitor.resync()


@pytest.fixture
def system(netns: rnlab.Namespace) -> System:
    """The system whose changes a plain monitor reports."""
    return System(netns)


@pytest.fixture
def churn(system: System) -> Iterator[None]:
    """Routes are added without a pause until the test is over.

    A monitor of its own is open all the time: the first one would have to read
    the table while it changes.
    """
    over = threading.Event()

    def work() -> None:
        for first in itertools.count(10 << 24, 4096):
            if over.is_set():
                return
            nets = (ipaddress.ip_address(first + at) for at in range(0, 4096, 2))
            system.add_many([f"{net}/31" for net in nets])

    with (
        routenotify.RouteMonitor(capacity=2),
        concurrent.futures.ThreadPoolExecutor(1) as pool,
    ):
        worked = pool.submit(work)
        yield
        over.set()
        worked.result()


class Record:
    """A callback that keeps its calls, for waiting until there are enough."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, object, int]] = []
        self.threads: set[int] = set()
        self._more = threading.Condition()

    def __call__(self, context: object, row: object, kind: int) -> None:
        """Keep one call."""
        with self._more:
            self.calls.append((context, row, kind))
            self.threads.add(threading.get_ident())
            self._more.notify_all()

    def wait(self, count: int) -> list[tuple[object, object, int]]:
        """The calls so far, once there are count of them."""
        with self._more:
            enough = self._more.wait_for(lambda: len(self.calls) >= count, 10)
            assert enough, f"{len(self.calls)} of {count} calls: {self.calls}"
            return list(self.calls)


@pytest.fixture
def record() -> Record:
    """A callback for NotifyRouteChange2."""
    return Record()


@pytest.fixture
def open_monitor() -> Iterator[Callable[..., routenotify.RouteMonitor]]:
    """Opens monitors that are closed when the test is over."""
    opened: list[routenotify.RouteMonitor] = []

    def make(*args: object, **options: object) -> routenotify.RouteMonitor:
        opened.append(routenotify.RouteMonitor(*args, **options))
        return opened[-1]

    yield make
    for monitor in opened:
        monitor.close()
