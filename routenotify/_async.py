"""`async for change in monitor`, `aget`: no thread, no polling, nothing lost.

A task that finds nothing queued waits for the monitor's wake object by means of
the framework that runs it - an asyncio loop of any make, or trio; anyio runs on
either - and then takes the change itself. It holds nothing while it waits, so
its cancellation loses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
import time
import weakref
from typing import TYPE_CHECKING, Any, Final

from routenotify._errors import (
    ERROR_INVALID_HANDLE,
    ERROR_NOT_SUPPORTED,
    ERROR_TIMEOUT,
    MonitorClosed,
    NotSupported,
    WaitTimeout,
)

if TYPE_CHECKING:
    from routenotify._api import RouteMonitor
    from routenotify._batches import Wait
    from routenotify._routenotify import RouteChange


def _trio() -> Any:
    """The trio that runs the caller; None: it does not.

    asyncio comes first: a task of its own inside a trio program (trio-asyncio)
    has a loop of its own to wait in. trio as a guest of an asyncio loop runs in
    none of that loop's tasks.
    """
    with contextlib.suppress(RuntimeError):
        if asyncio.current_task() is not None:
            return None
    trio = sys.modules.get("trio")
    with contextlib.suppress(RuntimeError):
        if trio is not None:
            trio.lowlevel.current_task()
            return trio
    return None


def _running_loop(call: str) -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            f"{call}: neither an asyncio loop nor trio runs this coroutine"
        ) from None


async def _give_way(call: str) -> None:
    """Let other tasks run, and a cancellation come."""
    trio = _trio()
    if trio is not None:
        await trio.lowlevel.checkpoint()
    else:
        _running_loop(call)
        await asyncio.sleep(0)


def _finish(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class _Readers:
    """Who waits for a descriptor in one loop, which has one reader for it."""

    def __init__(self) -> None:
        self._waiters: dict[asyncio.Future[None], None] = {}  # oldest first
        self._stale = False  # one was woken, and what a call says is from before

    async def wait(
        self, loop: asyncio.AbstractEventLoop, fd: int, seconds: float | None
    ) -> None:
        """Until the descriptor is readable, or the seconds have passed."""
        waiter: asyncio.Future[None] = loop.create_future()
        timer = None if seconds is None else loop.call_later(seconds, _finish, waiter)
        if not self._waiters:
            self._stale = False
            loop.add_reader(fd, self._wake)
        self._waiters[waiter] = None
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()
            del self._waiters[waiter]
            # A loop closed under a waiting task has no readers left.
            if not self._waiters and not loop.is_closed():
                loop.remove_reader(fd)

    def _wake(self) -> None:
        """Wake one; the loop calls again while the descriptor is readable.

        The loop looked at it before the one woken last had its turn, so every
        other call knows nothing.
        """
        self._stale = not self._stale
        if self._stale:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
                    return


class _Waits:
    """The waits for one wake object of a monitor, in whatever framework."""

    def __init__(self) -> None:
        # Of its own thread each: a loop that ends takes its readers along.
        self._by_loop: weakref.WeakKeyDictionary[
            asyncio.AbstractEventLoop, _Readers
        ] = weakref.WeakKeyDictionary()

    async def wait(self, wake: int, seconds: float | None, call: str) -> None:
        """Until the object is set, or the seconds (None: any) have passed.

        Raises:
            NotSupported: Windows: the loop cannot wait for a handle.
            RuntimeError: No framework runs the caller.
        """
        trio = _trio()
        if trio is not None:
            with trio.move_on_after(float("inf") if seconds is None else seconds):
                await _wait_in_trio(trio, wake)
            return
        loop = _running_loop(call)
        if sys.platform == "win32":
            await _wait_in_proactor(loop, wake, seconds, call)
        else:
            readers = self._by_loop.get(loop)
            if readers is None:
                readers = self._by_loop.setdefault(loop, _Readers())
            await readers.wait(loop, wake, seconds)


if sys.platform == "win32":

    async def _wait_in_trio(trio: Any, handle: int) -> None:
        await trio.lowlevel.WaitForSingleObject(handle)

    async def _wait_in_proactor(
        loop: asyncio.AbstractEventLoop, handle: int, seconds: float | None, call: str
    ) -> None:
        """One wait of the proactor's own, the only way without a thread."""
        proactor = getattr(loop, "_proactor", None)
        if proactor is None:
            detail = f"{loop!r} cannot wait for a handle: use a ProactorEventLoop"
            raise NotSupported(ERROR_NOT_SUPPORTED, call, detail)
        await proactor.wait_for_handle(handle, seconds)

    def _wake_object(monitor: RouteMonitor) -> int:
        return monitor.wait_handle

else:

    async def _wait_in_trio(trio: Any, fd: int) -> None:
        """As one of several tasks: trio takes one for each descriptor."""
        import os

        try:
            await trio.lowlevel.wait_readable(fd)
        except trio.BusyResourceError:
            own = os.dup(fd)
            try:
                await trio.lowlevel.wait_readable(own)
            finally:
                os.close(own)

    def _wake_object(monitor: RouteMonitor) -> int:
        return monitor.fileno()


# Under a storm something is always queued: after so many takes the other tasks
# get their turn, and a cancellation its chance.
_GIVE_WAY: Final = 64


class Side:
    """The asynchronous side of one monitor, which it does not refer to."""

    def __init__(self) -> None:
        """Nothing waits yet."""
        self._queued = _Waits()
        self._gathered = _Waits()
        self._takes = 0

    async def give_way(self, call: str) -> None:
        """Now and then, before anything is taken: safe to cancel."""
        self._takes += 1
        if self._takes % _GIVE_WAY == 0:
            await _give_way(call)

    async def take(
        self, monitor: RouteMonitor, deadline: float | None, call: str
    ) -> RouteChange | None:
        """The next change; None: the monitor has ended, everything is taken.

        Args:
            monitor: The one this belongs to.
            deadline: Of time.monotonic(); None for ever.
            call: For errors.

        Raises:
            WaitTimeout: The deadline passed.
        """
        await self.give_way(call)
        while True:
            ended = monitor._ended  # before poll: what came before it
            change = monitor.poll()
            if change is not None or ended:
                return change
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise WaitTimeout(ERROR_TIMEOUT, call, "no change came in time")
            with contextlib.suppress(MonitorClosed):  # just now: see above
                await self._queued.wait(_wake_object(monitor), left, call)

    async def wait(self, monitor: RouteMonitor, wait: Wait) -> None:
        """One wait of `batches`."""
        seconds = None if math.isinf(wait.seconds) else wait.seconds
        with contextlib.suppress(MonitorClosed):  # just now: the caller looks
            if wait.gathered:
                wake = monitor._gather_object()
                await self._gathered.wait(wake, seconds, "batches")
            else:
                await self._queued.wait(_wake_object(monitor), seconds, "batches")


async def get(monitor: RouteMonitor, side: Side, seconds: float | None) -> RouteChange:
    """What `RouteMonitor.aget` does; the argument is known to be right."""
    deadline = None if seconds is None else time.monotonic() + seconds
    change = await side.take(monitor, deadline, "aget")
    if change is None:
        raise monitor._end(
            MonitorClosed(ERROR_INVALID_HANDLE, "aget", "the monitor is closed")
        )
    return change


class Changes:
    """What `async for` over a monitor runs on."""

    def __init__(self, monitor: RouteMonitor, side: Side) -> None:
        """Take the monitor's changes; several may share one monitor."""
        self._monitor = monitor
        self._side = side

    def __aiter__(self) -> Changes:
        """Itself."""
        return self

    async def __anext__(self) -> RouteChange:
        """The next change.

        Raises:
            StopAsyncIteration: The monitor was closed, everything is taken.
            MonitorClosed: The system ended the notifications.
        """
        change = await self._side.take(self._monitor, None, "async for")
        if change is None:
            raise self._monitor._end(StopAsyncIteration())
        return change
