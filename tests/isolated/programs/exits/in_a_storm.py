"""The interpreter ends in a storm, with monitors open and threads inside them."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable

import _storm
import rnlab

from routenotify import MonitorClosed, RouteMonitor, netioapi


def start(target: Callable[[], object]) -> None:
    """Run the target in threads nobody joins, until the monitor is closed."""

    def forever() -> None:
        with contextlib.suppress(MonitorClosed, StopIteration):
            while True:
                target()

    for _ in range(3):
        threading.Thread(target=forever, daemon=True).start()


def main(way: str) -> RouteMonitor:
    """Leave a process in the given state to its end."""
    _storm.prepare()
    monitor = RouteMonitor(snapshot=True)
    # It goes on until this process is gone, and a little longer.
    _storm.endless()
    _storm.wait(monitor)
    calls = []
    if way == "get":
        start(monitor.get)
    elif way == "iterate":
        start(lambda: next(monitor))
    elif way == "drain":
        start(monitor.drain)
    elif way == "batch":
        start(lambda: monitor.batch(timeout=1))
    elif way == "callback":
        netioapi.NotifyRouteChange2(0, lambda *row: calls.append(row))
        rnlab.wait_for(lambda: len(calls) > 100, 60, "callbacks")
    elif way == "thread":
        # One that is joined at the exit, before the monitors are closed.
        threading.Thread(target=lambda: [monitor.get() for _ in range(2000)]).start()
    return monitor


left_open = main(sys.argv[1])
print("end", flush=True)
