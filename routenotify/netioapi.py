"""Microsoft's netioapi functions under their own names, on Windows and Linux.

For people who come with the page of NotifyRouteChange2 in hand. Errors are
exceptions (`RouteNotifyError.code` has the number) instead of return values,
and results are returned instead of written through pointers; the rest is as
documented there. `RouteMonitor` is the same notifications without callbacks.
"""

from __future__ import annotations

import dataclasses
import enum
import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from routenotify import _routenotify
from routenotify._api import RouteMonitor
from routenotify._arguments import (
    Address,
    addresses,
    interface_number,
    invalid,
    wrong_type,
)
from routenotify._errors import (
    ERROR_ACCESS_DENIED,
    ERROR_FILE_NOT_FOUND,
    ERROR_INVALID_HANDLE,
    ERROR_INVALID_PARAMETER,
    ERROR_NOT_ENOUGH_MEMORY,
    ERROR_NOT_FOUND,
    ERROR_NOT_SUPPORTED,
    NO_ERROR,
    MonitorClosed,
    make_error,
)
from routenotify._routenotify import Route, RouteChange

__all__ = [
    "ERROR_ACCESS_DENIED",
    "ERROR_FILE_NOT_FOUND",
    "ERROR_INVALID_HANDLE",
    "ERROR_INVALID_PARAMETER",
    "ERROR_NOT_ENOUGH_MEMORY",
    "ERROR_NOT_FOUND",
    "ERROR_NOT_SUPPORTED",
    "MIB_IPFORWARD_ROW2",
    "MIB_NOTIFICATION_TYPE",
    "NO_ERROR",
    "CancelMibChangeNotify2",
    "GetBestRoute2",
    "GetIpForwardEntry2",
    "GetIpForwardTable2",
    "MibAddInstance",
    "MibDeleteInstance",
    "MibInitialNotification",
    "MibParameterNotification",
    "NotificationHandle",
    "NotifyRouteChange2",
]

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class MIB_NOTIFICATION_TYPE(enum.IntEnum):  # noqa: N801 - Microsoft's name
    """What a callback is told."""

    MibParameterNotification = 0
    MibAddInstance = 1
    MibDeleteInstance = 2
    MibInitialNotification = 3


MibParameterNotification: Final = MIB_NOTIFICATION_TYPE.MibParameterNotification
MibAddInstance: Final = MIB_NOTIFICATION_TYPE.MibAddInstance
MibDeleteInstance: Final = MIB_NOTIFICATION_TYPE.MibDeleteInstance
MibInitialNotification: Final = MIB_NOTIFICATION_TYPE.MibInitialNotification

_MAIN_TABLE: Final = 254  # Linux; Windows has no tables

_UNSPECIFIED: Final[dict[int, Address]] = {
    4: ipaddress.IPv4Address(0),
    6: ipaddress.IPv6Address(0),
}


@dataclasses.dataclass
class MIB_IPFORWARD_ROW2:  # noqa: N801 - Microsoft's name
    """A row. In a callback it is partial: the members down to NextHop.

    To ask for an entry set DestinationPrefix, NextHop (None: on-link) and
    InterfaceLuid or InterfaceIndex, and call GetIpForwardEntry2. Members that
    nobody said are None; lifetimes are in seconds, None for infinite.
    """

    DestinationPrefix: Network
    NextHop: Address | None = None
    InterfaceLuid: int = 0
    InterfaceIndex: int = 0
    SitePrefixLength: int | None = None
    ValidLifetime: int | None = None
    PreferredLifetime: int | None = None
    Metric: int | None = None
    Protocol: int | None = None
    Loopback: bool | None = None
    AutoconfigureAddress: bool | None = None
    Publish: bool | None = None
    Immortal: bool | None = None
    Age: int | None = None
    Origin: int | None = None
    record: RouteChange | Route | None = dataclasses.field(
        default=None, repr=False, compare=False
    )
    """What the row was made of: it knows more on Linux (`table`, `scope`, ...)."""


def _partial_row(change: RouteChange | Route) -> MIB_IPFORWARD_ROW2:
    network = change.destination
    if network is None:
        raise ValueError(f"{change!r} has no row")
    return MIB_IPFORWARD_ROW2(
        DestinationPrefix=network,
        NextHop=change.next_hop or _UNSPECIFIED[network.version],
        InterfaceLuid=change.interface_luid or 0,
        InterfaceIndex=change.interface_index or 0,
        record=change,
    )


def _full_row(route: Route) -> MIB_IPFORWARD_ROW2:
    return dataclasses.replace(
        _partial_row(route),
        SitePrefixLength=route.site_prefix_length,
        ValidLifetime=route.valid_lifetime,
        PreferredLifetime=route.preferred_lifetime,
        Metric=route.metric,
        Protocol=route.protocol,
        Loopback=route.loopback,
        AutoconfigureAddress=route.autoconfigure,
        Publish=route.publish,
        Immortal=route.immortal,
        Age=route.age,
        Origin=route.origin,
    )


# What of a row is the question, and what it may be.
_KEY: Final[dict[str, tuple[Any, str]]] = {
    "DestinationPrefix": (Network, "an ipaddress network"),
    "NextHop": (Address | None, "an ipaddress address or None"),
    "InterfaceLuid": (int, "a number"),
    "InterfaceIndex": (int, "a number"),
}


def _asks_for(row: MIB_IPFORWARD_ROW2, route: Route) -> bool:
    """Microsoft's key: destination, next hop, and LUID or else index."""
    hop = row.NextHop
    return (
        row.DestinationPrefix == route.destination
        and (None if hop is None or hop.is_unspecified else hop) == route.next_hop
        and (not row.InterfaceLuid or row.InterfaceLuid == route.interface_luid)
        and (
            bool(row.InterfaceLuid)
            or row.InterfaceIndex == (route.interface_index or 0)
        )
    )


def _find(row: MIB_IPFORWARD_ROW2) -> Route:
    """The entry a row made by hand names; on Linux the main table's first."""
    call = "GetIpForwardEntry2"
    for name, (kinds, expected) in _KEY.items():
        value = getattr(row, name)
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise wrong_type(call, f"Row.{name}", value, expected)
    if not row.InterfaceLuid and not row.InterfaceIndex:
        why = "names no interface: set InterfaceLuid or InterfaceIndex"
        raise invalid(call, "Row", row, why)
    family = socket.AF_INET if row.DestinationPrefix.version == 4 else socket.AF_INET6
    found = [one for one in _routenotify.table(family) if _asks_for(row, one)]
    if not found:
        raise make_error(ERROR_NOT_FOUND, call, f"{row} is not in the table")
    return min(found, key=lambda one: (one.table != _MAIN_TABLE, one.metric or 0))


def _names_the_same(row: MIB_IPFORWARD_ROW2, other: MIB_IPFORWARD_ROW2) -> bool:
    """Whether nobody changed a row's key since it was made."""
    return (
        row.DestinationPrefix == other.DestinationPrefix
        and row.NextHop == other.NextHop
        and row.InterfaceLuid == other.InterfaceLuid
        and row.InterfaceIndex == other.InterfaceIndex
    )


_Callback: TypeAlias = Callable[
    [Any, MIB_IPFORWARD_ROW2 | None, MIB_NOTIFICATION_TYPE], object
]


# Seconds until a dispatcher tries again what there was no memory for.
_NO_MEMORY_PAUSE: Final = 0.01

# Threads that wait in CancelMibChangeNotify2, each with the one it waits for.
_waiting: Final[dict[threading.Thread, threading.Thread]] = {}


def _waits_for(thread: threading.Thread, other: threading.Thread) -> bool:
    """Whether a thread is another one, or waits for it, at however many removes."""
    passed: set[threading.Thread] = set()
    follow: threading.Thread | None = thread
    while follow is not None and follow not in passed:
        if follow is other:
            return True
        passed.add(follow)
        follow = _waiting.get(follow)
    return False


def _join(thread: threading.Thread) -> None:
    """Wait until a thread has ended, unless it waits for this one.

    First the wait is told, then the others' are looked at, so of threads that
    come to wait for each other in a circle the last one sees it. No lock: a
    signal handler may cancel, too, whatever it interrupts.
    """
    me = threading.current_thread()
    _waiting[me] = thread
    try:
        if not _waits_for(thread, me):
            thread.join()
    finally:
        _waiting.pop(me, None)


class NotificationHandle:
    """A registration of NotifyRouteChange2, ended by CancelMibChangeNotify2."""

    def __init__(
        self, monitor: RouteMonitor, callback: _Callback, context: object
    ) -> None:
        """Not for use: NotifyRouteChange2 makes them."""
        self._monitor = monitor
        self._callback = callback
        self._context = context
        self._open = threading.Lock()  # taken, and never waited for, by who cancels
        self._thread = threading.Thread(
            target=self._dispatch, name="NotifyRouteChange2", daemon=True
        )
        self._thread.start()

    @property
    def _cancelled(self) -> bool:
        return self._open.locked()

    def __repr__(self) -> str:
        """Open or cancelled, and what it calls."""
        state = "cancelled" if self._cancelled else "open"
        return f"<NotificationHandle {state}, calls {self._callback!r}>"

    def _dispatch(self) -> None:
        change = None
        while not self._cancelled:
            try:
                if change is None:
                    change = self._monitor.get()
                self._deliver(change)
                change = None
            except MonitorClosed:
                return
            except MemoryError:  # nothing was called: nothing is lost
                time.sleep(_NO_MEMORY_PAUSE)

    def _deliver(self, change: RouteChange) -> None:
        if change.type > MibInitialNotification:
            return  # a marker, which may come unasked: Microsoft has none
        kind = MIB_NOTIFICATION_TYPE(change.type)
        row = None if kind == MibInitialNotification else _partial_row(change)
        arguments = (self._context, row, kind)
        if not self._cancelled:
            _routenotify.call_guarded(self._callback, arguments)

    def _cancel(self) -> None:
        if not self._open.acquire(blocking=False):
            raise make_error(
                ERROR_INVALID_HANDLE,
                "CancelMibChangeNotify2",
                "NotificationHandle was cancelled before",
            )
        self._monitor.close()
        _join(self._thread)


def NotifyRouteChange2(  # noqa: N802 - Microsoft's name
    AddressFamily: int,
    Callback: _Callback,
    CallerContext: object = None,
    InitialNotification: bool = False,
) -> NotificationHandle:
    """Call Callback(CallerContext, Row, NotificationType) on every change.

    The calls are made one at a time, in order, on a thread of the
    registration's own. What a call raises goes to `sys.unraisablehook`, and
    the registration lives on. It ends with CancelMibChangeNotify2 or with the
    interpreter.

    Args:
        AddressFamily: AF_UNSPEC for both, AF_INET or AF_INET6.
        Callback: Row is a partial MIB_IPFORWARD_ROW2, None in the initial
            notification.
        CallerContext: Handed to Callback.
        InitialNotification: Call once with MibInitialNotification first.

    Raises:
        InvalidParameter: AddressFamily or Callback is none.
        NotEnoughMemory: Memory or descriptors ran out.
        RouteNotifyError: The system refused.
    """
    call = "NotifyRouteChange2"
    _routenotify.check_family(AddressFamily, "AddressFamily", call)
    callback: object = Callback
    if not callable(callback):
        raise invalid(call, "Callback", callback, "cannot be called")
    monitor = RouteMonitor(
        AddressFamily, initial_notification=bool(InitialNotification)
    )
    try:
        return NotificationHandle(monitor, Callback, CallerContext)
    except BaseException:  # no thread to be had: no registration either
        monitor.close()
        raise


def CancelMibChangeNotify2(  # noqa: N802 - Microsoft's name
    NotificationHandle: NotificationHandle,
) -> None:
    """End a registration; wait for the callback in flight.

    After it returns no callback is made. Inside a callback of this registration
    it does not wait: it means "none after this one". Inside one of another it
    waits, unless the callback in flight waits here, too, for that one to end.

    Raises:
        InvalidParameter: It is no handle.
        RouteNotifyError: The handle was cancelled before (6).
    """
    handle: object = NotificationHandle
    if not isinstance(handle, _Handle):
        raise invalid("CancelMibChangeNotify2", "NotificationHandle", handle, "is none")
    handle._cancel()


_Handle: Final = NotificationHandle  # the argument above hides the class


def GetIpForwardEntry2(  # noqa: N802 - Microsoft's name
    Row: MIB_IPFORWARD_ROW2 | RouteChange | Route,
) -> MIB_IPFORWARD_ROW2:
    """The whole entry that a partial row names.

    Raises:
        TypeError: It is no row, or a member of it is something else.
        InvalidParameter: It names no row.
        RouteNotFound: The system has no such entry, or no longer.
        RouteNotifyError: The system refused.
    """
    if isinstance(Row, RouteChange | Route):
        return _full_row(_routenotify.complete(Row))
    row: object = Row
    if not isinstance(row, MIB_IPFORWARD_ROW2):
        expected = "a MIB_IPFORWARD_ROW2, RouteChange or Route"
        raise wrong_type("GetIpForwardEntry2", "Row", row, expected)
    record = Row.record
    if record is None or not _names_the_same(Row, _partial_row(record)):
        return _full_row(_find(Row))
    return _full_row(_routenotify.complete(record))


def GetIpForwardTable2(  # noqa: N802 - Microsoft's name
    Family: int,
) -> list[MIB_IPFORWARD_ROW2]:
    """Every route of the family.

    Args:
        Family: AF_UNSPEC for both, AF_INET or AF_INET6.

    Raises:
        InvalidParameter: Another family.
        RouteNotifyError: The system refused.
    """
    _routenotify.check_family(Family, "Family", "GetIpForwardTable2")
    return [_full_row(route) for route in _routenotify.table(Family)]


def GetBestRoute2(  # noqa: N802 - Microsoft's name
    DestinationAddress: str | Address,
    *,
    SourceAddress: str | Address | None = None,
    InterfaceIndex: int = 0,
) -> tuple[MIB_IPFORWARD_ROW2, Address | None]:
    """The route the system takes to an address, and the address it sends from.

    Returns:
        (BestRoute, BestSourceAddress); the address is None when the system
        does not say.

    Raises:
        InvalidParameter: An address is none or has a zone (fe80::1%eth0), or the
            two differ in family, or no interface can have that index.
        RouteNotFound: There is no route to it.
        RouteNotifyError: The system refused.
    """
    call = "GetBestRoute2"
    target, source = addresses(
        call,
        "InterfaceIndex",
        DestinationAddress=DestinationAddress,
        SourceAddress=SourceAddress,
    )
    index = 0
    if InterfaceIndex != 0:
        index = interface_number(InterfaceIndex, "InterfaceIndex", call)
    route = _routenotify.best_route(target, source, index)
    return _full_row(route), route.preferred_source
