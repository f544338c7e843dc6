"""CPU per notification, and how long the system's thread is held: as ratios."""

from __future__ import annotations

import collections
import ctypes
import statistics
import threading

from doublelab import Double, Mode

import routenotify

ROUNDS = 3


def ctypes_ns(double: Double, count: int) -> float:
    """Per notification, with what people write without this package."""
    queue: collections.deque[tuple[int, bytes]] = collections.deque()

    def call(context: object, row: int, kind: int) -> None:
        queue.append((kind, ctypes.string_at(row, 104)))

    cancel = double.register_python(call)
    taken = double.fire(count) / count
    cancel()

    assert len(queue) == count
    return taken


def nothing_ns(double: Double, count: int) -> float:
    """Per notification, with an empty callback in C: the double's own cost."""
    cancel = double.register_nothing()
    taken = double.fire(count) / count
    cancel()
    return taken


def our_ns(double: Double, count: int, times: int) -> float:
    """Per notification, into a ring that the reader empties between."""
    taken = 0
    with routenotify.RouteMonitor(capacity=count) as monitor:
        double.fire(count)
        for _ in range(times):
            assert len(monitor.batch(count)) == count
            taken += double.fire(count)

        assert monitor.stats.conflated == 0
    return taken / (count * times)


def test_cpu_per_notification_against_ctypes(double: Double) -> None:
    """One run, the same thread's calls; the ratio is a bar of the project."""
    ratios = []
    for _ in range(ROUNDS):
        # So many that a tick of the clock that counts CPU, 16 ms, is little.
        theirs = ctypes_ns(double, 25_000)
        ours = our_ns(double, 1 << 17, 4)
        nothing = nothing_ns(double, 1 << 19)
        ratios.append((theirs - nothing) / max(ours - nothing, 1.0))
        print(
            f"ns per notification: ctypes {theirs:.0f}, ours {ours:.0f}; "
            f"{nothing:.0f} of each are the double's"
        )
    ratio = statistics.median(ratios)
    print(f"ratio ctypes : routenotify, median {ratio:.0f}")

    assert ratio >= 40, ratios


def test_time_the_systems_thread_is_held(double: Double) -> None:
    """While a Python thread is busy; spaced 1 ms."""
    stop = False

    def spin() -> None:
        while not stop:
            pass

    double.mode(Mode.CLOCK)
    busy = threading.Thread(target=spin)
    busy.start()
    try:
        with routenotify.RouteMonitor() as monitor:
            double.callback_time()
            double.fire_async(200, gap_us=1000)
            double.join()
            count, mean, most = double.callback_time()

            assert count == monitor.stats.received == 200
        queue: collections.deque[int] = collections.deque()
        cancel = double.register_python(lambda *call: queue.append(call[2]))
        double.callback_time()
        double.fire_async(100, gap_us=1000)
        double.join()
        count, their_mean, their_most = double.callback_time()
        cancel()

        assert count == len(queue) == 100
    finally:
        stop = True
        busy.join()
    print(
        f"held per call with a busy Python thread: ours mean {mean / 1e3:.2f} us, "
        f"max {most / 1e3:.1f} us; ctypes mean {their_mean / 1e3:.0f} us, "
        f"max {their_most / 1e3:.0f} us"
    )

    assert their_mean >= 100 * mean
