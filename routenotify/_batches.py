"""`for batch in monitor.batches(...)`, and the same with `async for`.

Changes gather in the monitor's queue and are taken when the batch is due, so
whatever ends a wait for them - a cancellation, Ctrl-C - loses nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from routenotify._api import RouteMonitor
    from routenotify._routenotify import RouteBatch

#: A change waits at most so many times `debounce` for the storm to end.
LONGEST: Final = 10

_UNBOUNDED: Final = (1 << 64) - 1
_FOR_EVER: Final = float("inf")


class Wait(NamedTuple):
    """What a batch waits for next."""

    gathered: bool  # enough for a batch; else: anything
    seconds: float


_Steps: TypeAlias = "Generator[Wait, None, RouteBatch | None]"


def _advance(steps: _Steps) -> Wait | RouteBatch | None:
    """The next wait, or what all the waiting was for."""
    try:
        return next(steps)
    except StopIteration as end:
        batch: RouteBatch | None = end.value
        return batch


def _age(time_ns: int) -> float:
    """Seconds since then, by the wall clock, which may have been set in between."""
    return (time.time_ns() - time_ns) / 1e9


class Batches:
    """What `RouteMonitor.batches` gives: an iterator, also an asynchronous one.

    Several may share a monitor; each change goes to one of them.
    """

    def __init__(self, monitor: RouteMonitor, max: int | None, debounce: float) -> None:
        """Made by `RouteMonitor.batches`, which knows the arguments are right."""
        self._monitor = monitor
        self._max = max
        self._debounce = debounce
        # Of a recording's changes a replay says it.
        self._age: Callable[[int], float] = _age

    def _gathering(self) -> Generator[Wait, None, None]:
        """The waits until what is queued is due; none if nothing is.

        Meanwhile the limit counts for all who wait: there is one thing to wait
        for, and what is enough for one of them any of them may take.
        """
        limit = _UNBOUNDED if self._max is None else min(self._max, _UNBOUNDED)
        self._monitor._gather_enter(limit)
        try:
            yield from self._until_due(limit)
        finally:
            self._monitor._gather_leave(limit)

    def _until_due(self, limit: int) -> Generator[Wait, None, None]:
        latest = time.monotonic() + LONGEST * self._debounce
        newest = None
        quiet_at = latest
        while found := self._monitor._gather(limit):
            sequence, time_ns = found
            now = time.monotonic()
            if sequence != newest:
                newest = sequence
                age = min(max(self._age(time_ns), 0), self._debounce)
                quiet_at = now + self._debounce - age
            left = min(quiet_at, latest) - now
            if left <= 0:
                return
            yield Wait(True, left)

    def _steps(self) -> _Steps:
        """The waits for one batch, and it; None: ended, everything is taken."""
        while True:
            ended = self._monitor._ended  # before batch: what came before it
            if self._debounce > 0:
                yield from self._gathering()
            batch = self._monitor.batch(self._max)
            if len(batch):
                return batch
            if ended:
                return None
            yield Wait(False, _FOR_EVER)

    def __iter__(self) -> Batches:
        """Itself."""
        return self

    def __next__(self) -> RouteBatch:
        """The next batch.

        Raises:
            StopIteration: The monitor was closed, everything is taken.
            MonitorClosed: The system ended the notifications.
        """
        with contextlib.closing(self._steps()) as steps:
            while isinstance(found := _advance(steps), Wait):
                self._monitor._wait(*found)
        if found is None:
            raise self._monitor._end(StopIteration())
        return found

    def __aiter__(self) -> Batches:
        """Itself."""
        return self

    async def __anext__(self) -> RouteBatch:
        """The next batch.

        Raises:
            StopAsyncIteration: The monitor was closed, everything is taken.
            MonitorClosed: The system ended the notifications.
        """
        side = self._monitor._side
        await side.give_way("batches")
        with contextlib.closing(self._steps()) as steps:
            while isinstance(found := _advance(steps), Wait):
                await side.wait(self._monitor, found)
        if found is None:
            raise self._monitor._end(StopAsyncIteration())
        return found
