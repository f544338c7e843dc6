"""fork() while changes merge behind a full queue: the child frees nothing twice."""

from __future__ import annotations

import os

import _storm
import rnlab

from routenotify import RouteMonitor

FORKS = 300
MONITORS = 16  # as many chances each time


def main() -> None:
    """Run it.

    Each route that goes again empties the spill map, whose memory the reader's
    thread then frees; a fork in the midst left the child pointers to it.
    """
    _storm.prepare()
    monitors = [RouteMonitor(capacity=2) for _ in range(MONITORS)]
    with _storm.storm(flapping=True):
        rnlab.wait_for(lambda: monitors[-1].stats.conflated > 0, what="full queues")
        for number in range(FORKS):
            pid = os.fork()
            if pid == 0:
                monitors.clear()
                os._exit(0)
            status = os.waitpid(pid, 0)[1]
            assert status == 0, (number, status)
    for monitor in monitors:
        assert not monitor.closed
        monitor.close()


main()
print("end")
