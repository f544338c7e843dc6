"""Eight threads that drain one monitor get every change exactly once, in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import _storm
import rnlab

import routenotify
from routenotify import MonitorClosed, RouteMonitor

ROUTES = 5_000


def ways(monitor: RouteMonitor) -> list[Callable[[], list[int]]]:
    """Every way to take changes; each gives the sequence numbers it took."""

    def poll() -> list[int]:
        change = monitor.poll()
        return [] if change is None else [change.sequence]

    def get() -> list[int]:
        try:
            return [monitor.get(0.01).sequence]
        except TimeoutError:
            return []

    def drain(most: int | None) -> list[int]:
        return [change.sequence for change in monitor.drain(most)]

    def batch() -> list[int]:
        return [change.sequence for change in monitor.batch(100, timeout=0)]

    return [poll, get, lambda: drain(3), lambda: drain(None), batch]


def take(monitor: RouteMonitor, way: Callable[[], list[int]], out: list[int]) -> None:
    """Take until nothing is left to take."""
    while True:
        try:
            taken = way()
        except MonitorClosed:
            return
        out += taken
        if not taken and monitor.closed:
            return


def iterate(monitor: RouteMonitor, out: list[int]) -> None:
    """Likewise, by the iterator."""
    numbers: Iterator[int] = (change.sequence for change in monitor)
    out.extend(numbers)


def main() -> None:
    """Run it, with a producer at full speed and more takers than processors."""
    namespace = _storm.prepare()
    monitor = RouteMonitor(capacity=1 << 16)
    taken: list[list[int]] = [[] for _ in range(8)]
    each = [*ways(monitor), ways(monitor)[0]]
    threads = [
        threading.Thread(target=take, args=(monitor, way, out), daemon=True)
        for way, out in zip(each, taken, strict=False)
    ] + [
        threading.Thread(target=iterate, args=(monitor, out), daemon=True)
        for out in taken[-2:]
    ]
    assert len(threads) == len(taken)
    for thread in threads:
        thread.start()
    for verb in ("add", "del"):
        namespace.batch(_storm.lines(verb, ROUTES))
    rnlab.wait_for(
        lambda: monitor.stats.received >= 2 * ROUTES and not monitor.stats.queued,
        20,
        "everything taken",
    )
    monitor.close()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()

    stats = monitor.stats
    assert stats.conflated == 0, stats
    for one in taken:
        assert one == sorted(one), "out of order in one thread"
    together = sorted(number for one in taken for number in one)
    assert together == list(range(1, stats.received + 1)), (
        len(together),
        len(set(together)),
        stats,
    )
    assert stats.delivered == stats.received
    assert routenotify.routes()


main()
print("end")
