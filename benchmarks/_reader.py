"""The measured side: one process, one monitor, one way of reading it.

Started by `benchmarks._lab`.  Prints "ready", reads until the flood is over,
prints one JSON object.  CPU is the whole process's by getrusage: the reader
thread, the mirror, the Python loop.
"""

from __future__ import annotations

import argparse
import array
import contextlib
import json
import re
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import routenotify

FIRST = 30.0
"""Seconds to wait for the first change."""

IDLE = 2.0
"""Seconds without a change after which the flood is over; costs no CPU."""

OTHER_TABLE = 4711
"""In which nothing happens."""

WATCHED = 3.0
"""Seconds an idle monitor is watched for."""


class Reader:
    """A monitor, how many changes it must bring, and when each came.

    Args:
        count: changes that will be made.
        queued: whether all of them are to be queued before any is read.
        table: the only one that is wanted; None: all.
        ringbuf: as RouteMonitor has it.
    """

    def __init__(
        self,
        count: int,
        *,
        queued: bool,
        table: int | None = None,
        ringbuf: bool | None = None,
    ) -> None:
        slots = 1 << (count - 1).bit_length() if queued else 16384
        wanted = None if table is None else routenotify.RouteFilter(tables=table)
        self.monitor = routenotify.RouteMonitor(
            capacity=slots, filter=wanted, ringbuf=ringbuf
        )
        self.count = count
        self.stamps = array.array("q")
        self._extra: dict[str, Any] = {}

    def read_iterate(self) -> int:
        """A `for` loop, ended by a thread that closes the monitor."""
        threading.Thread(target=self._close_when_over).start()
        changes = iter(self.monitor)
        first = last = next(changes)
        taken = 1
        for last in changes:  # noqa: B007  the last one is wanted
            taken += 1
        self._extra["seconds"] = (last.time_ns - first.time_ns) / 1e9
        return taken

    def read_get(self) -> int:
        """`get()` in a loop."""
        get = self.monitor.get
        get(FIRST)
        taken = 1
        with contextlib.suppress(TimeoutError):
            for _ in range(self.count - 1):
                get(IDLE)
                taken += 1
        return taken

    def read_stamped(self) -> int:
        """`get()` in a loop, with the time of each return."""
        get, stamp = self.monitor.get, self.stamps.append
        get(FIRST)
        stamp(time.monotonic_ns())
        with contextlib.suppress(TimeoutError):
            for _ in range(self.count - 1):
                get(IDLE)
                stamp(time.monotonic_ns())
        return len(self.stamps)

    def read_drain(self) -> int:
        """`get()` to wait, `drain()` for all the rest."""
        get, drain = self.monitor.get, self.monitor.drain
        get(FIRST)
        taken = 1 + len(drain())
        with contextlib.suppress(TimeoutError):
            while taken < self.count:
                get(IDLE)
                taken += 1 + len(drain())
        return taken

    def read_batch(self) -> int:
        """`batch()`: rows, no object for each."""
        batch = self.monitor.batch
        taken = len(batch(timeout=FIRST))
        while taken < self.count and (rows := len(batch(timeout=IDLE))):
            taken += rows
        return taken

    def read_queued_poll(self) -> int:
        """Everything queued, then `poll()` until there is nothing."""
        poll = self.monitor.poll

        def take() -> None:
            while poll() is not None:
                pass

        return self._time_taking(take)

    def read_queued_drain(self) -> int:
        """Everything queued, then `drain(1000)` until there is nothing."""
        drain = self.monitor.drain

        def take() -> None:
            while drain(1000):
                pass

        return self._time_taking(take)

    def read_queued_batch(self) -> int:
        """Everything queued, then `batch()` until there is nothing."""
        batch = self.monitor.batch

        def take() -> None:
            while len(batch()):
                pass

        return self._time_taking(take)

    def read_hold(self) -> int:
        """Nothing: the table is in the mirror, and how large is the process?"""
        status = Path("/proc/self/status").read_text()
        resident = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert resident is not None
        self._extra["resident_mib"] = int(resident[1]) / 1024
        self._extra["routes"] = len(self.monitor.snapshot())
        sys.stdin.readline()
        return 0

    def read_filtered(self) -> int:
        """Nothing comes, whatever happens in other tables."""
        sys.stdin.readline()
        return len(self.monitor.drain())

    def read_idle(self) -> int:
        """Nothing happens: how often does a thread of the library run?"""
        me = threading.get_native_id()
        while (before := _switches(me)) is None:
            time.sleep(0.01)  # until what came with the opening is done
        time.sleep(WATCHED)
        while (after := _switches(me)) is None:
            time.sleep(0.01)
        self._extra["wakes"] = (after - before) / WATCHED
        sys.stdin.readline()
        return 0

    def report(self, taken: int, before: resource.struct_rusage) -> dict[str, Any]:
        """What was read and what it cost, in seconds of CPU."""
        after = resource.getrusage(resource.RUSAGE_SELF)
        stats = self.monitor.stats
        return {
            "messages": taken,
            "drops": stats.kernel_drops,
            "received": stats.received,
            "conflated": stats.conflated,
            "high_water": stats.high_water,
            "resyncs": stats.resyncs,
            "synthesised": stats.synthesised,
            "ringbuf": stats.ringbuf,
            "cpu_user": after.ru_utime - before.ru_utime,
            "cpu_system": after.ru_stime - before.ru_stime,
            **self._extra,
        }

    def _close_when_over(self) -> None:
        sys.stdin.readline()
        before, end = 0, 0.0
        while (received := self.monitor.stats.received) < self.count:
            if received > before:
                before, end = received, time.monotonic() + FIRST
            elif end and time.monotonic() > end:
                break
            time.sleep(0.05)
        self.monitor.close()

    def _time_taking(self, take: Callable[[], None]) -> int:
        """Take what is queued, each time we are told that a flood is over.

        The first time warms up and is not counted.
        """
        spent: list[int] = []
        while sys.stdin.readline() == "queued\n":
            end = time.monotonic() + FIRST
            while self.monitor.stats.queued < self.count and time.monotonic() < end:
                time.sleep(0.005)
            start = time.thread_time_ns()
            take()
            spent.append(time.thread_time_ns() - start)
            print("taken", flush=True)
        taken = int(self.monitor.stats.delivered)
        counted = taken * (len(spent) - 1) / len(spent)
        self._extra["ns"] = sum(spent[1:]) / max(counted, 1)
        return taken


def _switches(besides: int) -> int | None:
    """Times that a thread of this process went to sleep, but for one thread.

    None while one of them runs.
    """
    total = 0
    for task in Path("/proc/self/task").iterdir():
        if int(task.name) != besides:
            lines = (task / "status").read_text().splitlines()
            told = dict(line.split(":\t", 1) for line in lines)
            if not told["State"].startswith("S"):
                return None
            total += int(told["voluntary_ctxt_switches"])
    return total


def main() -> None:
    """Read as the command line says."""
    ways = [name[5:] for name in vars(Reader) if name.startswith("read_")]
    parser = argparse.ArgumentParser(prog="python -m benchmarks._reader")
    parser.add_argument("way", choices=ways)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--stamps")
    parser.add_argument("--no-ringbuf", action="store_true")
    options = parser.parse_args()

    reader = Reader(
        options.count,
        queued=options.way.startswith("queued"),
        table=OTHER_TABLE if options.way == "filtered" else None,
        ringbuf=False if options.no_ringbuf else None,
    )
    print("ready", flush=True)
    before = resource.getrusage(resource.RUSAGE_SELF)
    taken = getattr(reader, f"read_{options.way}")()
    print(json.dumps(reader.report(taken, before)))
    if options.stamps:
        with open(options.stamps, "wb") as file:
            reader.stamps.tofile(file)


if __name__ == "__main__":
    main()
