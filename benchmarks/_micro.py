"""The ring beside Python's queues, and beside itself through ctypes.

`python -m benchmarks._micro LIBRARY COUNT` measures once and prints an object of
nanoseconds; `micro` starts it, run by run, on the readers' core.
"""

from __future__ import annotations

import collections
import ctypes
import json
import queue
import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks import _build
from benchmarks._lab import Lab
from benchmarks._measures import RING, Lines
from benchmarks._table import Bar, Measure
from routenotify import _routenotify

RECORD = 128
"""Bytes."""

FRESH = 1024
"""Rows that the caches hold; at full rate some 500 come at once."""

THROUGH = {
    "SimpleQueue put() + get()": "simple_queue",
    "deque append() + popleft()": "deque",
    "the same ring through ctypes": "ctypes_ring",
}
TAKING = {
    "SimpleQueue.get_nowait()": "simple_queue_take",
    "deque.popleft()": "deque_take",
    "the ring's take through ctypes": "ctypes_take",
}


def _each_ns(count: int, work: Callable[[], None]) -> float:
    """CPU of this thread."""
    start = time.thread_time_ns()
    work()
    return (time.thread_time_ns() - start) / count


def _python_queues(count: int) -> dict[str, float]:
    """Ready objects, so that nothing but the queue is measured."""
    simple: queue.SimpleQueue[int] = queue.SimpleQueue()
    double: collections.deque[int] = collections.deque()
    put, get, append, pop = simple.put, simple.get, double.append, double.popleft
    get_nowait = simple.get_nowait

    def simple_through() -> None:
        for number in range(count):
            put(number)
            get()

    def double_through() -> None:
        for number in range(count):
            append(number)
            pop()

    def simple_take() -> None:
        for _ in range(count):
            get_nowait()

    def double_take() -> None:
        for _ in range(count):
            pop()

    found = {
        "simple_queue": _each_ns(count, simple_through),
        "deque": _each_ns(count, double_through),
    }
    for number in range(count):
        put(number)
        append(number)
    found["simple_queue_take"] = _each_ns(count, simple_take)
    found["deque_take"] = _each_ns(count, double_take)
    return found


def _ring(library: ctypes.CDLL, count: int) -> dict[str, float]:
    """In C, and every call through ctypes."""
    library.micro_ring.restype = ctypes.c_void_p
    library.micro_ring_ns.restype = library.micro_copy_ns.restype = ctypes.c_double
    ring = ctypes.c_void_p(library.micro_ring(ctypes.c_uint32(RING)))
    record, out = ctypes.create_string_buffer(RECORD), (ctypes.c_char * RECORD)()
    push, take = library.rn_ring_push, library.rn_ring_take
    push.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    take.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32]

    def through() -> None:
        for _ in range(count):
            push(ring, record)
            take(ring, out, 1)

    def take_all() -> None:
        while take(ring, out, 1):
            bytes(out)  # as a record of its own, which a consumer needs

    found = {
        "ring": float(library.micro_ring_ns(ring, ctypes.c_uint32(count))),
        "ctypes_ring": _each_ns(count, through),
        "copy": float(library.micro_copy_ns(ctypes.c_uint32(RING), ctypes.c_uint32(9))),
    }
    while push(ring, record) == 0:
        pass
    found["ctypes_take"] = _each_ns(RING, take_all)
    return found


def _callback(library: ctypes.CDLL, count: int) -> dict[str, float]:
    """A ctypes callback that copies its record and appends it to a deque."""
    seen: collections.deque[bytes] = collections.deque()
    append, copy = seen.append, ctypes.string_at
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    callback = kind(lambda record: append(copy(record, RECORD)))

    def call() -> None:
        library.micro_callbacks(callback, ctypes.c_uint32(count))

    return {"ctypes_callback": _each_ns(count, call)}


def _fresh(rounds: int = 256) -> float:
    """`batch()` of rows that were queued just before: what making one costs."""
    record = bytearray(RECORD)
    record[116:119] = bytes((1, 4, 32))  # an ADD of an IPv4 host route
    rows = bytes(record) * FRESH
    monitor = _routenotify.Monitor(capacity=FRESH, room=lambda _: None)
    taken = spent = 0
    for _ in range(rounds):
        monitor._feed(rows)
        start = time.thread_time_ns()
        batch = monitor.batch()
        spent += time.thread_time_ns() - start
        taken += len(batch)
    monitor.close()
    return spent / taken


def micro(lab: Lab, runs: int, count: int) -> Lines:
    """A record into the ring and out, taking one, and the way of a callback."""
    library = _build.build(
        lab.folder / "micro.so",
        [_build.HERE / "micro.c", _build.SOURCES / "rn_ring.c"],
        *("-shared", "-fPIC"),
    )
    program = [sys.executable, "-m", "benchmarks._micro", str(library), str(count)]
    through = {
        key: Measure("ring in C, a record in and out", "ns", name)
        for name, key in THROUGH.items()
    }
    taking = {
        key: Measure("poll() on a full ring", "ns", name)
        for name, key in TAKING.items()
    }
    call = Measure("ring in C, a record in and out", "ns", "ctypes callback to deque")
    copy = Measure("batch() on a full ring", "ns", "memcpy() of as many records")
    fresh = Measure(f"batch() of {FRESH:,} rows just queued", "ns", "", Bar(10, "ours"))
    for _ in range(runs):
        done = subprocess.run(
            lab.pinned(program), check=True, capture_output=True, text=True
        )
        found = json.loads(done.stdout)
        poll, batch = (
            lab.queue_up(lab.ours(way, RING), RING // 2, 11)["ns"]
            for way in ("queued_poll", "queued_batch")
        )
        for measures, ours in ((through, found["ring"]), (taking, poll)):
            for key, measure in measures.items():
                measure.ours.append(ours)
                measure.other.append(found[key])
        call.ours.append(found["ring"])
        call.other.append(found["ctypes_callback"])
        copy.ours.append(batch)
        copy.other.append(found["copy"])
        fresh.ours.append(found["fresh"])
    yield from (*through.values(), call, *taking.values(), copy, fresh)


def main() -> None:
    """Measure once."""
    library, count = ctypes.CDLL(sys.argv[1]), int(sys.argv[2])
    found = _python_queues(count) | _ring(library, count) | _callback(library, count)
    found["fresh"] = _fresh()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
