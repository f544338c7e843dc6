"""Every call of the native layer, with each allocation of Python's made to fail.

    PYTHONPATH=tests:tests/replay python tests/isolated/no_memory.py drain

The first allocation of a call fails, then the second, and so on; each time alone,
and each time together with all that follow. What has to hold: MemoryError or the
right answer, and nothing else; what was queued is delivered, each change once and in
order; afterwards no object more than before is held. CPython makes its own
allocations fail by _testcapi.
"""

from __future__ import annotations

import _testcapi
import gc
import importlib.util
import sys
import typing
from collections.abc import Callable, Sequence

import leaks

import routenotify
from routenotify import _routenotify

ROUTES = 24  # more than some lists have place for on the stack
CAPACITY = 8  # so that they are several runs of the ring
MOST = 4000  # allocations that a call makes at most
ENOUGH = 3  # calls in a row that did not miss what was not to be had

Call = Callable[[], object]


class Told(typing.NamedTuple):
    """What became of a call."""

    answer: object
    memory: bool  # it was answered


def starved(call: Call, first: int, last: int) -> Told:
    """Call it while the allocations first..last-1 fail; last 0: all from first on."""
    answer: object = None
    memory = True
    _testcapi.set_nomemory(first, last)
    try:
        answer = call()
    except MemoryError:
        memory = False
    finally:
        _testcapi.remove_mem_hooks()
    return Told(answer, memory)


def sweep(attempt: Callable[[int, int], bool]) -> int:
    """Try with each allocation; how many times there was no answer.

    Args:
        attempt: makes the call while the allocations from the first number to the
            second fail, checks what has to hold, and says whether it was answered.
    """
    unanswered = answered = 0
    for first in range(MOST):
        one, more = attempt(first, first + 1), attempt(first, 0)
        unanswered += (not one) + (not more)
        answered = answered + 1 if one and more else 0
        if answered == ENOUGH:
            return unanswered
    raise AssertionError(f"more than {MOST} allocations")


# --- what is queued -------------------------------------------------------------

Take = Callable[[routenotify.RouteMonitor], object]

TAKE: dict[str, Take] = {
    "poll": lambda monitor: monitor.poll(),
    "get": lambda monitor: monitor.get(30),
    "next": next,
    "drain": lambda monitor: monitor.drain(),
    "drain-some": lambda monitor: monitor.drain(CAPACITY - 1),
    "batch": lambda monitor: monitor.batch(),
    "batch-some": lambda monitor: monitor.batch(CAPACITY + 3, 5),
    "stats": lambda monitor: monitor.stats,
    "repr": repr,
    "snapshot": lambda monitor: monitor.snapshot(),
}


def numbers(answer: object) -> list[int]:
    """Sequence numbers of the changes that a call gave."""
    if isinstance(answer, routenotify.RouteChange):
        return [answer.sequence]
    if isinstance(answer, (list, _routenotify.RouteBatch)):
        return [change.sequence for change in answer]
    return []


def take(name: str) -> Callable[[int, int], bool]:
    """A monitor with the whole table queued; what the call left is read after it."""
    call = TAKE[name]

    def attempt(first: int, last: int) -> bool:
        with routenotify.RouteMonitor(snapshot=True, capacity=CAPACITY) as monitor:
            queued = monitor.stats.queued
            assert queued >= ROUTES, monitor.stats
            told = starved(lambda: call(monitor), first, last)
            given = numbers(told.answer)
            left = numbers(monitor.drain())
            assert list(range(1, queued + 1)) == given + left, (given, left)
        return told.memory

    return attempt


# --- questions ------------------------------------------------------------------


def attributes(value: object) -> object:
    """All that an object of ours tells."""
    names = [n for n in dir(type(value)) if not n.startswith("_")]
    found = [getattr(value, name) for name in names]
    return [one for one in found if not callable(one)]


def opened(place: leaks.Place) -> Call:
    """A monitor with everything that one may have."""

    def call() -> object:
        context, path = [1], place.namespace.path
        monitor = routenotify.RouteMonitor(
            capacity=2, filter=place.filter, netns=path, context=context, snapshot=True
        )
        with monitor:
            return (monitor.filter is place.filter, monitor.context is context)

    return call


def refused(_: leaks.Place) -> Call:
    """The error of a monitor that cannot be, as text."""

    def call() -> object:
        try:
            _routenotify.Monitor(7)
        except routenotify.InvalidParameter as error:
            return (error.call, error.code, error.errno)
        raise AssertionError("family 7")

    return call


def imported(_: leaks.Place) -> Call:
    """The extension once more, as for another interpreter."""
    spec = importlib.util.spec_from_file_location(
        "routenotify._routenotify", _routenotify.__file__
    )
    assert spec is not None
    assert spec.loader is not None
    loader = spec.loader

    def call() -> object:
        try:
            module = loader.create_module(spec)
            assert module is not None
            loader.exec_module(module)
        except SystemError as error:
            # CPython 3.11 forgets to say what failed when it copies a type's name.
            if "without setting an exception" not in str(error):
                raise
            raise MemoryError from error
        return len(dir(module))

    return call


def tallied(place: leaks.Place) -> Call:
    """A table of what happens how often."""
    records = memoryview(place.batch).cast("B")

    def call() -> object:
        tally = _routenotify.Tally(limit=100)
        tally.add(records, 1)
        answer = (tally.kinds(), tally.top(9), tally.delays, tally.destinations)
        tally.clear()
        return answer

    return call


def filtered(place: leaks.Place) -> Call:
    """A filter of the native layer, from its bytes."""
    compiled = place.filter._compile(len)

    def call() -> object:
        return (compiled.program, compiled.in_kernel, compiled.matches(place.change))

    return call


Question = Callable[[leaks.Place], Call]


def of(function: Callable[[leaks.Place], object]) -> Question:
    """The function itself is the call."""
    return lambda place: lambda: function(place)


def names_of(capsules: object) -> object:
    """Capsules have no value: that they are there."""
    return [repr(one).split()[2] for one in typing.cast(Sequence[object], capsules)]


ASK: dict[str, Question] = {
    "open": opened,
    "refuse": refused,
    "import": imported,
    "tally": tallied,
    "filter": filtered,
    "routes": of(lambda _: _routenotify.table(0, -1)),
    "best": of(lambda _: _routenotify.best_route(b"\x0a\x01\x00\x09")),
    "change": of(lambda place: attributes(place.change)),
    "route": of(lambda place: attributes(place.route)),
    "dict": of(lambda place: (place.change.to_dict(), place.route.to_dict())),
    "complete": of(lambda place: place.change.complete()),
    "text": of(lambda place: (repr(place.change), repr(place.route))),
    "pickle": of(lambda place: place.change.__reduce__()),
    "compare": of(lambda place: (place.change == place.change, hash(place.route))),
    "rows": of(lambda place: list(place.batch)),
    "slice": of(lambda place: list(place.batch[1:3])),
    "bytes": of(lambda place: memoryview(place.batch).tobytes()),
    "copy": of(lambda place: list(routenotify.RouteBatch(place.batch))),
    "arrow-schema": of(lambda p: names_of([p.batch.__arrow_c_schema__()])),
    "arrow-array": of(lambda p: names_of(p.batch.__arrow_c_array__())),
    "arrow-stream": of(lambda p: names_of([p.batch.__arrow_c_stream__()])),
}


def ask(name: str, place: leaks.Place) -> Callable[[int, int], bool]:
    """The same question again and again: the answer is the one of the first time."""
    call = ASK[name](place)
    call()
    right = call()

    def attempt(first: int, last: int) -> bool:
        told = starved(call, first, last)
        assert not told.memory or right == told.answer, (right, told.answer)
        return told.memory

    return attempt


def main(name: str) -> int:
    """Sweep one call; 1 if objects stay."""
    place = leaks.Place()
    for at in range(ROUTES):
        place.namespace.ip(f"route add 20.0.{at}.0/24 via 10.1.0.2")
    attempt = take(name) if name in TAKE else ask(name, place)
    gc.disable()  # one that begins without memory is Python's to report: 3.15 does
    sweep(attempt)  # which also fills tables that stay
    gc.collect()
    before = sys.getallocatedblocks()
    unanswered = sweep(attempt)
    gc.collect()
    more = sys.getallocatedblocks() - before
    print(f"{name}: {unanswered} times without memory, {more} objects more")
    # One block is the number itself; what leaks does so nearly every time.
    return int(unanswered == 0 or more > max(2, unanswered // 4))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
