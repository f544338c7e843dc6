"""Threads may open, ask, drain and drop monitors of their own at the same time."""

from __future__ import annotations

import os
import threading

import _storm
import rnlab

import routenotify
from routenotify import RouteMonitor

ROUNDS = 25


def work(barrier: threading.Barrier, failures: list[BaseException]) -> None:
    """A life of many short monitors, some of them dropped unclosed."""
    try:
        barrier.wait()
        for i in range(ROUNDS):
            with RouteMonitor(snapshot=True, context=[i], capacity=16) as monitor:
                assert monitor.context == [i]
                assert monitor.get(10).type in (1, 2, 0)
                monitor.snapshot()
                monitor.drain()
                assert repr(monitor).startswith("<RouteMonitor open")
            routenotify.routes()
            assert monitor.closed
    except BaseException as error:  # noqa: BLE001 - shown by main
        failures.append(error)


def shared(monitor: RouteMonitor, stop: threading.Event) -> None:
    """Look at a monitor that others take from."""
    while not stop.is_set():
        assert monitor.context is None
        assert monitor.filter is None
        assert monitor.stats.capacity == 16384
        monitor.drain(5)
        monitor.fileno()


def main() -> None:
    """Run it; no descriptor and no thread is left."""
    _storm.prepare()
    first = threading.Thread(target=list)  # with it comes a sanitizer's own
    first.start()
    first.join()
    rnlab.wait_for(
        lambda: str(first.native_id) not in os.listdir("/proc/self/task"),
        what="the end of the first thread",
    )
    threads_before = rnlab.threads()
    descriptors = len(os.listdir("/proc/self/fd"))
    failures: list[BaseException] = []
    barrier = threading.Barrier(6)
    stop = threading.Event()
    with _storm.storm(), RouteMonitor() as common:
        threads = [
            threading.Thread(target=work, args=(barrier, failures)) for _ in range(6)
        ]
        watchers = [
            threading.Thread(target=shared, args=(common, stop)) for _ in range(2)
        ]
        _storm.wait(common)
        for thread in [*threads, *watchers]:
            thread.start()
        for thread in threads:
            thread.join(90)
        stop.set()
        for thread in watchers:
            thread.join(10)
    assert not failures, failures
    assert threading.active_count() == 1
    rnlab.wait_for_threads(threads_before, "no reader outlives its monitors")
    del common  # its descriptor lives as long as the object
    assert len(os.listdir("/proc/self/fd")) == descriptors


main()
print("end")
