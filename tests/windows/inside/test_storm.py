"""Open, close, wait and exit while the system calls at full speed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import rnlab
from doublelab import Double, Mode

import routenotify
from routenotify import netioapi


@pytest.mark.parametrize("mode", [Mode.NORMAL, Mode.OVERLAP])
def test_open_and_close_a_thousand_times_in_a_storm(double: Double, mode: Mode) -> None:
    """No deadlock, no crash, no handle left."""
    double.mode(mode)
    double.fire_async(1 << 30, kind=-1)
    double.fire_async(1 << 30, family=23, kind=-1)
    handles = rnlab.open_handles()
    for cycle in range(1000):
        monitor = routenotify.RouteMonitor(
            capacity=16,
            initial_notification=cycle % 2 == 0,
            snapshot=cycle % 3 == 0,
        )
        if cycle % 5 == 0:
            monitor.get(30)
        monitor.close()
    double.join(stop=True)

    assert double.stats.live == 0
    assert rnlab.open_handles() - handles <= rnlab.STRAY_HANDLES


def test_no_row_is_lost_over_many_registrations(double: Double) -> None:
    """Calls made by the system == received, over all monitors, exactly."""
    before = double.stats.called
    monitors = [routenotify.RouteMonitor(capacity=64) for _ in range(8)]
    for thread in range(4):
        double.fire_async(20_000, first=thread * 20_000)
    double.join()
    totals = [monitor.stats for monitor in monitors]
    delivered = [len(monitor.drain()) for monitor in monitors]
    for monitor in monitors:
        monitor.close()

    assert sum(stats.received for stats in totals) == double.stats.called - before
    assert delivered == [80_000] * 8, "all routes differ: nothing may merge"


def test_fired_is_delivered_plus_merged_for_a_slow_reader(double: Double) -> None:
    """A reader beside the storm, a ring too small for it."""
    with routenotify.RouteMonitor(capacity=256) as monitor:
        double.fire_async(600_000, kind=-1)
        joined = threading.Thread(target=double.join)
        joined.start()
        taken = merged = 0
        while joined.is_alive() or monitor.stats.queued:
            for change in monitor.drain(1000):
                taken += 1
                merged += change.merged
        joined.join()
        stats = monitor.stats

    assert stats.received == 600_000
    assert stats.delivered == taken
    assert stats.received == taken + stats.conflated
    assert merged <= stats.received


def test_close_from_another_thread_wakes_get(double: Double) -> None:
    """And get() says that the monitor is closed."""
    monitor = routenotify.RouteMonitor()
    outcome: list[BaseException] = []

    def reader() -> None:
        try:
            monitor.get()
        except routenotify.MonitorClosed as error:
            outcome.append(error)

    threads = [threading.Thread(target=reader) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)  # most of them wait by then; the rest find it closed
    monitor.close()
    for thread in threads:
        thread.join(20)

    assert len(outcome) == 4


def test_many_threads_close_at_once(double: Double) -> None:
    """One cancels; double.double_cancels is checked by the fixture."""
    double.fire_async(1 << 30)
    for _ in range(50):
        monitor = routenotify.RouteMonitor(capacity=16)
        barrier = threading.Barrier(4)

        def close(
            monitor: routenotify.RouteMonitor = monitor,
            barrier: threading.Barrier = barrier,
        ) -> None:
            barrier.wait()
            monitor.close()

        threads = [threading.Thread(target=close) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
    double.join(stop=True)

    assert double.stats.live == 0


def test_close_from_inside_a_callback(double: Double) -> None:
    """In the storm, a hundred times."""
    double.fire_async(1 << 30)
    for _ in range(100):
        done = threading.Event()

        def callback(
            context: list[netioapi.NotificationHandle],
            *_: object,
            done: threading.Event = done,
        ) -> None:
            if context and not done.is_set():
                netioapi.CancelMibChangeNotify2(context.pop())
                done.set()

        context: list[netioapi.NotificationHandle] = []
        context.append(netioapi.NotifyRouteChange2(0, callback, context))
        assert done.wait(30)
    double.join(stop=True)

    assert double.stats.live == 0


def test_get_timeout(double: Double) -> None:
    """It does pass, and is a TimeoutError."""
    with (
        routenotify.RouteMonitor() as monitor,
        pytest.raises(TimeoutError) as caught,
    ):
        monitor.get(0.06)

    assert caught.value.code == 1460  # type: ignore[attr-defined]


def test_ctrl_c_ends_a_wait(double: Double) -> None:
    """WaitForSingleObject is not interrupted by it: the wait is in slices."""
    threading.Timer(0.2, lambda: signal.raise_signal(signal.SIGINT)).start()
    with (
        routenotify.RouteMonitor() as monitor,
        pytest.raises(KeyboardInterrupt),
    ):
        monitor.get()


def test_async_iteration(double: Double) -> None:
    """The proactor's own wait; cancellation is prompt and loses nothing."""

    async def main() -> list[int]:
        got = []
        with routenotify.RouteMonitor() as monitor:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(aiter(monitor)), 0.05)
            double.fire_async(500, gap_us=50)
            async for change in monitor:
                got.append(change.sequence)
                if len(got) == 500:
                    break
        return got

    assert asyncio.run(main()) == list(range(1, 501))


def test_async_iteration_ends_when_closed(double: Double) -> None:
    """From another task."""

    async def main() -> int:
        monitor = routenotify.RouteMonitor()
        asyncio.get_running_loop().call_later(0.1, monitor.close)
        return len([change async for change in monitor])

    assert asyncio.run(main()) == 0


CHILD = """
import ctypes, sys, threading
import routenotify
from routenotify import netioapi
dll = ctypes.WinDLL("iphlpapi.dll")
assert hasattr(dll, "rnd_fire")
monitors = [routenotify.RouteMonitor(capacity=64) for _ in range(3)]
handle = netioapi.NotifyRouteChange2(0, lambda *a: None)
threading.Thread(target=monitors[0].__next__, daemon=True).start()
for family in (2, 23):
    dll.rnd_fire_async(1 << 30, 0, family, -1, 0)
monitors[1].get(20)
{ending}
"""


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("print('bye')", 0),
        ("sys.exit(3)", 3),
        ("raise ValueError", 1),
        ("import os; os._exit(5)", 5),
        ("monitors[2].close(); del monitors", 0),
    ],
)
def test_exit_with_open_monitors_in_a_storm(
    double: Double, ending: str, code: int
) -> None:
    """Clean exit codes: no hang, no crash in a callback after the end."""
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-W", "ignore::ResourceWarning", "-c",
             CHILD.format(ending=ending)],
            capture_output=True,
            timeout=60,
            check=False,
            env=os.environ,
        )  # fmt: skip

        assert done.returncode == code, done.stderr.decode()


def test_the_extension_names_no_iphlpapi() -> None:
    """No import of it and no narrow name: see c/test_provider.c for where it is."""
    extension = routenotify._routenotify.__file__
    assert extension is not None
    content = Path(extension).read_bytes()

    assert b"iphlpapi.dll\0" not in content.lower()
    assert "iphlpapi.dll\0".encode("utf-16-le") in content
