"""A thousand signals a second during get() lose nothing and break no wait."""

from __future__ import annotations

import signal
import threading
import time

import _storm
import rnlab

from routenotify import RouteMonitor

ROUTES = 3000
handled = 0


def count(_number: int, _frame: object) -> None:
    """The handler: Python code, in the midst of get()."""
    global handled  # noqa: PLW0603 - what a handler can reach
    handled += 1


def main() -> None:
    """Run it; a wait that times out does so neither early nor late for ever."""
    namespace = _storm.prepare()
    monitor = RouteMonitor(capacity=1 << 15)
    signal.signal(signal.SIGALRM, count)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    start = time.monotonic()
    try:
        monitor.get(0.2)
    except TimeoutError:
        assert time.monotonic() - start >= 0.2
    else:
        raise AssertionError("a signal was taken for a change")
    feeder = threading.Thread(
        target=lambda: namespace.batch(_storm.lines("add", ROUTES))
    )
    feeder.start()
    destinations = set()
    while len(destinations) < ROUTES:
        destinations.add(monitor.get(30).destination)
    feeder.join()
    rnlab.wait_for(lambda: handled > 100, 30, "signals handled")
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert monitor.stats.conflated == 0
    monitor.close()


main()
print("end")
