"""The Python face: arguments and their errors; the work is the extension's."""

from __future__ import annotations

import atexit
import contextlib
import functools
import socket
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from routenotify import _routenotify
from routenotify._arguments import (
    Address,
    addresses,
    at_least_one,
    interface_index,
    seconds,
    seconds_or_none,
    wrong_type,
)
from routenotify._batches import Batches
from routenotify._errors import RouteNotifyError
from routenotify._filter import RouteFilter
from routenotify._netns import NetworkNamespace, opened_netns
from routenotify._types import Snapshot

if TYPE_CHECKING:
    from routenotify import _async

# Not a WeakSet: that cannot be copied while another thread adds to it.
_open_monitors: Final[set[weakref.ref[RouteMonitor]]] = set()


def open_monitors() -> Iterator[RouteMonitor]:
    """All that somebody still refers to."""
    for reference in tuple(_open_monitors):
        monitor = reference()
        if monitor is not None:
            yield monitor


@atexit.register
def _close_open_monitors() -> None:
    """Nothing outlives the interpreter: no thread, no registration."""
    for monitor in open_monitors():
        monitor._quieten()
        with contextlib.suppress(RouteNotifyError):
            monitor.close()


def closed_at_exit(monitor: RouteMonitor) -> None:
    """Have a monitor that just opened closed before the interpreter ends."""
    _open_monitors.add(weakref.ref(monitor, _open_monitors.discard))


class RouteMonitor(_routenotify.Monitor):
    """Every change of a route on this computer, in order.

    A context manager and an iterator, also an asynchronous one::

        with RouteMonitor() as monitor:
            for change in monitor:
                print(change.type.name, change.destination, change.next_hop)
    """

    def __init__(
        self,
        family: int = socket.AF_UNSPEC,
        *,
        initial_notification: bool = False,
        snapshot: bool = False,
        context: object = None,
        filter: RouteFilter | None = None,
        capacity: int = 16384,
        markers: bool = False,
        netns: NetworkNamespace | None = None,
        rcvbuf: int = 16 << 20,
        ringbuf: bool | None = None,
    ) -> None:
        """Register for the changes (NotifyRouteChange2).

        Args:
            family: AF_UNSPEC for both, AF_INET or AF_INET6.
            initial_notification: Deliver one change of type INITIAL first.
            snapshot: Deliver the table first, as ADD with cause "snapshot".
            context: Anything; kept as `context`.
            filter: What is wanted; the rest is dropped before it is queued, in
                the kernel where that can be. Also of `snapshot()`, and of what
                `snapshot=True` delivers. None: everything.
            capacity: Changes that wait before later ones merge into them,
                2 to 16777216, rounded up to a power of two.
            markers: Deliver SNAPSHOT_END, RESYNC_BEGIN and RESYNC_END too.
            netns: Linux: the namespace to watch: a name as `ip netns` has it,
                a path, or the id of a process in it. None: the caller's.
                When the name is deleted or the process ends, the monitor
                ends too: what was queued can be read, then MonitorClosed
                says why.
            rcvbuf: Linux: receive buffer to ask the kernel for, in bytes;
                `stats.rcvbuf` says what it granted.
            ringbuf: Linux: whether the kernel hands over changes in a BPF ring
                buffer, bpf(2), of about half of `rcvbuf` (64 MiB at most), instead
                of queueing each on the socket; `stats.ringbuf` says so. That
                takes a fraction of the CPU, and Linux 5.12 and root (CAP_BPF,
                CAP_PERFMON, CAP_NET_ADMIN). None: where it may be, unless
                `rcvbuf` is below 1 MiB, there is a `filter`, which the
                kernel then runs, or system calls are filtered (seccomp).
                Monitors of a namespace share what the first of them got;
                True and False ask for a reader that has it or has it not.

        Raises:
            InvalidParameter: An argument is out of its range.
            NotEnoughMemory: Memory or descriptors ran out.
            NotSupported: This platform has no route notifications, or does not
                say of a change what the filter asks for.
            RouteNotifyError: The system refused; `code` says why.
        """
        if filter is not None and not isinstance(filter, RouteFilter):
            raise wrong_type("RouteMonitor", "filter", filter, "RouteFilter or None")
        with opened_netns(netns, "RouteMonitor") as space:
            program = filter and filter._compile_for_monitor(space.fd)
            super().__init__(
                family,
                initial_notification=initial_notification,
                snapshot=snapshot,
                context=context,
                filter=filter,
                capacity=capacity,
                markers=markers,
                rcvbuf=rcvbuf,
                ringbuf=ringbuf,
                netns_fd=space.fd,
                netns_path=space.path,
                program=program,
            )
        closed_at_exit(self)

    @functools.cached_property
    def _side(self) -> _async.Side:
        from routenotify import _async  # and with it asyncio, for who wants it

        # Whoever is first: two of them would be in each other's way.
        side: _async.Side = self.__dict__.setdefault("_side", _async.Side())
        return side

    def _end(self, closed: Exception) -> Exception:
        """What to raise once it is `_ended` and everything was taken.

        Args:
            closed: That, after `close()`.

        Raises:
            MonitorClosed: The system ended the notifications.
        """
        with contextlib.suppress(StopIteration):
            super().__next__()
        return closed

    def __aiter__(self) -> _async.Changes:
        """Iterate with `async for`; ends when the monitor is closed.

        Under asyncio, on any loop, under trio and under anyio; any number of
        tasks may share the monitor, and each change goes to one of them.
        """
        from routenotify import _async

        return _async.Changes(self, self._side)

    async def aget(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - as get() has it
    ) -> _routenotify.RouteChange:
        """The next change; waits for it without holding up other tasks.

        A wait that is cancelled has taken no change.

        Args:
            timeout: Seconds to wait; None for ever.

        Raises:
            WaitTimeout: A TimeoutError: no change came in time.
            MonitorClosed: Closed, and everything queued was taken.
            InvalidParameter: timeout is negative, NaN or above 1e9.
        """
        from routenotify import _async

        limit = seconds_or_none(timeout, "timeout", "aget")
        return await _async.get(self, self._side, limit)

    def batches(self, *, max: int | None = 65536, debounce: float = 0) -> Batches:
        """Iterate by batches, with `for` or `async for`, until it is closed.

        A batch is never empty. Without `debounce` it has what is queued as soon
        as something is; with it, changes are left in the queue until nothing
        came for so long, so that a burst makes one batch. A storm does not hold
        it up for ever: it is due at the latest ten times `debounce` after the
        wait for it began, and as soon as `max` changes, or half of the
        monitor's capacity, are queued. Of several consumers that wait the least
        `max` counts for all, and one of them gets the batch.

        Args:
            max: Most changes in a batch; None: any number.
            debounce: Seconds.

        Raises:
            InvalidParameter: max is below 1, or debounce is negative, NaN or
                above 1e9.
        """
        return Batches(
            self,
            at_least_one(max, "max", "batches"),
            seconds(debounce, "debounce", "batches"),
        )

    def snapshot(self) -> Snapshot:
        """The routes now, and the place in the stream they are current to.

        Raises:
            MonitorClosed: The monitor is closed.
            RouteNotifyError: The system refused.
        """
        return Snapshot(*self._snapshot())


def routes(
    family: int = socket.AF_UNSPEC, *, netns: NetworkNamespace | None = None
) -> list[_routenotify.Route]:
    """The system's routes now (GetIpForwardTable2).

    Args:
        family: AF_UNSPEC for both, AF_INET or AF_INET6.
        netns: Linux: as in `RouteMonitor`.

    Raises:
        InvalidParameter: Another family.
        RouteNotifyError: The system refused.
    """
    with opened_netns(netns, "routes") as space:
        return _routenotify.table(family, space.fd)


def best_route(
    address: str | Address,
    *,
    source: str | Address | None = None,
    interface: str | int | None = None,
    netns: NetworkNamespace | None = None,
) -> _routenotify.Route:
    """The route the system takes to an address (GetBestRoute2).

    Args:
        address: Where to.
        source: From which of this computer's addresses.
        interface: Through which interface: its name (on Windows its alias too) or
            number.
        netns: Linux: as in `RouteMonitor`.

    Returns:
        The route; its `preferred_source` is the address to send from.

    Raises:
        InvalidParameter: An argument is no address, has a zone (fe80::1%eth0), or
            is of another family.
        RouteNotFound: There is no route to it.
        RouteNotifyError: The system refused.
    """
    call = "best_route"
    target, origin = addresses(call, "interface", address=address, source=source)
    index = interface_index(interface, "interface", call, local=netns is None)
    with opened_netns(netns, call) as space:
        return _routenotify.best_route(target, origin, index, space.fd)
