"""fork() in a thread, in a storm: the child's copy is closed, the parent's is not."""

from __future__ import annotations

import os
import threading
import traceback

import _storm
import pytest

from routenotify import MonitorClosed, RouteMonitor

FORKS = 10


def in_the_child(monitor: RouteMonitor) -> None:
    """The copy is closed and says so; one of the child's own works."""
    assert monitor.closed
    for call in (monitor.poll, monitor.get, monitor.drain, monitor.snapshot):
        with pytest.raises(MonitorClosed, match="fork"):
            call()
    monitor.close()
    with RouteMonitor(snapshot=True) as own:
        assert own.get(20).sequence == 1


def fork(monitor: RouteMonitor, failures: list[str]) -> None:
    """Fork many times while other threads are inside the monitor."""
    for _ in range(FORKS):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            text = "fine"
            try:
                in_the_child(monitor)
            except BaseException:  # noqa: BLE001 - shown by the parent
                text = traceback.format_exc()
            os.write(write, text.encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            said = pipe.read()
        os.waitpid(pid, 0)
        if said != "fine":
            failures.append(said)


def take(monitor: RouteMonitor, taken: list[int]) -> None:
    """Until it is closed."""
    try:
        while True:
            taken.append(monitor.get().sequence)
            taken.extend(change.sequence for change in monitor.drain())
    except MonitorClosed:
        pass


def main() -> None:
    """Run it; not one change of the parent's is lost over the forks."""
    _storm.prepare()
    failures: list[str] = []
    taken: list[list[int]] = [[], []]
    monitor = RouteMonitor(capacity=1 << 20)
    takers = [
        threading.Thread(target=take, args=(monitor, numbers)) for numbers in taken
    ]
    forker = threading.Thread(target=fork, args=(monitor, failures))
    with _storm.storm():
        for thread in takers:
            thread.start()
        _storm.wait(monitor)
        forker.start()
        forker.join(80)
        assert not forker.is_alive()
    assert not failures, failures[0]
    assert not monitor.closed
    monitor.close()
    for thread in takers:
        thread.join(20)
        assert not thread.is_alive()
    stats = monitor.stats
    assert stats.conflated == 0, stats
    together = sorted(taken[0] + taken[1])
    assert together == list(range(1, stats.received + 1))


main()
print("end")
