"""The native layer. Times in seconds unless a name says otherwise.

A call that may block releases the interpreter first, so other threads go on.
"""

import ipaddress
import socket
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final, NoReturn, Self, SupportsIndex, final, overload

from _typeshed import ReadableBuffer, structseq
from typing_extensions import disjoint_base

from routenotify._filter import RouteFilter
from routenotify._types import ChangeType, RouteKey, RouteType

class _Row:
    # What RouteChange and Route share. At run time there is no such class.
    @property
    def destination(self) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
        """The prefix; None in a marker."""
    @property
    def next_hop(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The gateway; None: on-link."""
    @property
    def interface(self) -> str | None:
        """The interface's name, asked of the system now; None when unknown."""
    @property
    def interface_index(self) -> int | None:
        """The interface's number."""
    @property
    def interface_luid(self) -> int | None:
        """Windows: NET_LUID. Linux: None."""
    @property
    def family(self) -> socket.AddressFamily:
        """AF_INET or AF_INET6; AF_UNSPEC in a marker."""
    @property
    def metric(self) -> int | None:
        """Priority: the lowest wins."""
    @property
    def protocol(self) -> int | None:
        """Who made the route: RTPROT_* or MIB_IPPROTO_*."""
    @property
    def table(self) -> int | None:
        """Routing table: 254 main, 255 local."""
    @property
    def route_type(self) -> RouteType | int | None:
        """A RouteType, or a number unknown to it."""
    @property
    def source(self) -> ipaddress.IPv6Network | None:
        """IPv6 source prefix of the route."""
    @property
    def preferred_source(
        self,
    ) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The address to send from."""
    @property
    def tos(self) -> int | None:
        """Type of service the route is for."""
    @property
    def scope(self) -> int | None:
        """RT_SCOPE_*: 0 universe, 253 link, 254 host."""
    @property
    def mtu(self) -> int | None:
        """The route's MTU in bytes."""
    @property
    def weight(self) -> int | None:
        """Weight of the next hop, from 1."""
    @property
    def nexthop_id(self) -> int | None:
        """Id of the nexthop object."""
    @property
    def flags(self) -> int:
        """RTNH_F_*: 1 dead, 4 onlink, 8 offload, 16 linkdown."""
    @property
    def preference(self) -> str | None:
        """Router preference: "low", "medium" or "high"; None for IPv4."""
    @property
    def ordinal(self) -> int:
        """Tells rows apart that are equal in all else."""
    @property
    def key(self) -> RouteKey:
        """What identifies the row, usable as a dictionary's key."""
    @property
    def raw(self) -> bytes:
        """The record itself, in this machine's byte order."""
    def __new__(cls, raw: ReadableBuffer, /) -> Self:
        """From `raw`, as pickle does it: a row of the caller's own namespace.

        The bytes name no namespace. `interface` and `complete()` of a row that a
        monitor or `routes()` gave ask the one it is of; of this one, the caller's.

        Raises:
            ValueError: The bytes are no record.
        """
    def complete(self) -> Route:
        """The whole Route as the system has it now (GetIpForwardEntry2).

        Raises:
            RouteNotFound: The system no longer has it.
            RouteNotifyError: The system refused.
        """
    def to_dict(self) -> dict[str, Any]:
        """What json.dumps() takes: addresses as strings, unknown as None."""
    def __copy__(self) -> Self:
        """Itself: it is immutable."""
    def __deepcopy__(self, memo: object, /) -> Self:
        """Itself: it is immutable."""
    def __reduce__(self) -> tuple[type[Self], tuple[bytes]]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class RouteChange(_Row):
    """One change of one route. Immutable; equal when every byte is."""

    @property
    def type(self) -> ChangeType:
        """What happened."""
    @property
    def cause(self) -> str:
        """Why: "system", "resync", "link-down", ..."""
    @property
    def sequence(self) -> int:
        """Position in the monitor's stream, from 1."""
    @property
    def merged(self) -> int:
        """How many changes this one stands for."""
    @property
    def time_ns(self) -> int:
        """Wall clock of reception, nanoseconds since 1970."""
    def _with(self, raw: ReadableBuffer, /) -> RouteChange:
        """A RouteChange of other bytes, of the same system."""

@final
class Route(_Row):
    """A complete entry: MIB_IPFORWARD_ROW2 and what Linux adds."""

    @property
    def expires_ns(self) -> int | None:
        """Time left in nanoseconds; None: for ever, or not said."""
    @property
    def valid_lifetime(self) -> int | None:
        """Seconds; None: for ever."""
    @property
    def preferred_lifetime(self) -> int | None:
        """Seconds; None: for ever."""
    @property
    def age(self) -> int:
        """Seconds since it was made or changed; 0 when not said."""
    @property
    def origin(self) -> int | None:
        """NL_ROUTE_ORIGIN: 0 manual, 2 DHCP, ..."""
    @property
    def realms(self) -> int | None:
        """Linux: from realm << 16 | to realm."""
    @property
    def route_flags(self) -> int:
        """Linux: RTM_F_* of the entry."""
    @property
    def metrics(self) -> dict[str, int]:
        """Linux: {"mtu": ..., "advmss": ...}, what was said."""
    @property
    def effective_metric(self) -> int | None:
        """The metric with the interface's added."""
    @property
    def congestion(self) -> str | None:
        """Linux: congestion control algorithm."""
    @property
    def encap_type(self) -> int | None:
        """Linux: LWTUNNEL_ENCAP_* of the next hop."""
    @property
    def site_prefix_length(self) -> int:
        """Windows: SitePrefixLength; Linux: 0."""
    @property
    def loopback(self) -> bool:
        """Does the route lead to this computer?"""
    @property
    def autoconfigure(self) -> bool:
        """Windows: AutoconfigureAddress."""
    @property
    def publish(self) -> bool:
        """Windows: is it announced to others?"""
    @property
    def immortal(self) -> bool:
        """Windows: does it live for ever?"""

@final
class RouteBatch:
    """Many changes in one read-only block of 128-byte records.

    A sequence of RouteChange, each made when it is asked for; slices share the
    memory, which lives as long as anything looks at it. A buffer (PEP 3118), of
    which numpy.asarray() makes a structured array. Equal when every row is.

    Fields, in this machine's byte order; addresses are in network order, IPv4 in
    the first 4 bytes and the rest zero:

    sequence (u64, from 1), time_ns (i64, nanoseconds since 1970), interface_luid
    (u64, Windows; 0: not said), destination, next_hop, source, preferred_source
    (16 bytes each), interface_index (u32, 0: none), table (u32), metric (u32),
    nexthop_id (u32, 0: none), merged (u32, from 1), mtu (u32, bytes, 0: none),
    protocol (u16), ordinal (u16), and as u8: type (ChangeType), ip_version (4, 6; 0
    in a marker), prefix_length (bits), source_length (bits), next_hop_version (0:
    on-link), route_type, scope, tos, cause, flags (RTNH_F_*), fields (bit 0: the
    attributes were said; bit 3: of these only metric and protocol), weight_less_one.
    """

    def __new__(cls, raw: ReadableBuffer, /) -> Self:
        """From records one after the other, which are copied, as pickle does it.

        The rows are of the caller's own namespace, which the records do not name.

        Raises:
            ValueError: The bytes are no records.
        """
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[RouteChange]: ...
    @overload
    def __getitem__(self, index: SupportsIndex, /) -> RouteChange: ...
    @overload
    def __getitem__(self, index: slice, /) -> RouteBatch: ...
    def __arrow_c_schema__(self) -> object:
        """The columns, as a capsule of the Arrow C data interface."""
    def __arrow_c_array__(
        self, requested_schema: object = None
    ) -> tuple[object, object]:
        """Columns and rows, for pyarrow.record_batch() and the like.

        Args:
            requested_schema: Not obeyed; consumers convert.
        """
    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The same as a stream of one array: polars.DataFrame(batch), duckdb."""
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def to_numpy(self) -> Any:
        """A structured array over the same memory, read-only.

        Raises:
            ModuleNotFoundError: numpy is not installed.
        """
    def __copy__(self) -> Self:
        """Itself: it is immutable."""
    def __deepcopy__(self, memo: object, /) -> Self:
        """Itself: it is immutable."""
    def __reduce__(self) -> tuple[type[Self], tuple[bytes]]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]

@final
class MonitorStats(
    structseq[int],
    tuple[
        int, int, int, int, int, int, int, int, int, int, int, int, int, int, int,
        int, int, int, int,
    ],
):  # fmt: skip
    """received = filtered + conflated + queued + delivered."""

    __match_args__: Final = (
        "received", "delivered", "filtered", "queued", "conflated", "high_water",
        "capacity", "overruns", "kernel_drops", "resyncs", "synthesised", "rcvbuf",
        "malformed", "foreign", "rows", "spill_lost", "leaked", "overlaps",
        "ringbuf",
    )  # fmt: skip

    @property
    def received(self) -> int:
        """Changes offered to this monitor."""
    @property
    def delivered(self) -> int:
        """Changes taken."""
    @property
    def filtered(self) -> int:
        """Changes nobody asked for: family, filter, markers."""
    @property
    def queued(self) -> int:
        """Changes waiting now."""
    @property
    def conflated(self) -> int:
        """Changes merged into others because the queue was full."""
    @property
    def high_water(self) -> int:
        """Most changes that ever waited."""
    @property
    def capacity(self) -> int:
        """Changes the queue holds before it merges."""
    @property
    def overruns(self) -> int:
        """Times the kernel's buffer overflowed."""
    @property
    def kernel_drops(self) -> int:
        """Messages the kernel dropped, by its own count."""
    @property
    def resyncs(self) -> int:
        """Comparisons with the system."""
    @property
    def synthesised(self) -> int:
        """Changes delivered that no message announced."""
    @property
    def rcvbuf(self) -> int:
        """Effective receive buffer in bytes; 0: there is none."""
    @property
    def malformed(self) -> int:
        """Messages that did not parse."""
    @property
    def foreign(self) -> int:
        """Messages whose sender was not the kernel."""
    @property
    def rows(self) -> int:
        """Rows of the mirrored table now."""
    @property
    def spill_lost(self) -> int:
        """Times memory for waiting changes ran out."""
    @property
    def leaked(self) -> int:
        """Registrations a failed cancel left (Windows)."""
    @property
    def overlaps(self) -> int:
        """Callbacks that met another one (Windows)."""
    @property
    def ringbuf(self) -> int:
        """Bytes of the BPF ring buffer in place of rcvbuf; 0: none."""

@final
class Filter:
    """A compiled filter; routenotify.RouteFilter makes them. Immutable."""

    def __new__(cls, program: bytes) -> Self:
        """From the bytes that rn_filter.h describes.

        Raises:
            InvalidParameter: They are none.
        """
    def matches(self, row: RouteChange | Route, /) -> bool:
        """Would a monitor deliver this RouteChange, or this Route if it changed?"""
    @property
    def program(self) -> bytes:
        """What the kernel would run: struct sock_filter; empty: nothing."""
    @property
    def in_kernel(self) -> list[int]:
        """Bits of each term in order: 1, 2: it decides for IPv4, IPv6; 4: it could."""
    @property
    def families(self) -> tuple[int, int]:
        """What the kernel knows of all IPv4, all IPv6 routes.

        0: none matches, 1: any may, -1: that depends on the route.
        """

@disjoint_base
class Monitor:
    """A registration for route changes and the queue they wait in.

    In a forked child every method but close() raises MonitorClosed.
    """

    def __init__(
        self,
        family: int = 0,
        *,
        initial_notification: bool = False,
        snapshot: bool = False,
        context: object = None,
        filter: RouteFilter | None = None,
        capacity: int = 16384,
        markers: bool = False,
        rcvbuf: int = 16777216,
        ringbuf: bool | None = None,
        netns_fd: int = -1,
        netns_path: bytes | None = None,
        program: Filter | None = None,
        room: Callable[[None], object] | None = None,
        names: dict[int, str] = {},
    ) -> None:
        """Register; with room, a replay: fed by `_feed`, not by a system.

        Room is called with None once what `_feed` could not take would fit;
        names has those of the interfaces by their index.
        """
    @property
    def closed(self) -> bool:
        """Do the notifications go on no more?"""
    @property
    def _ended(self) -> bool:
        """Is all queued that will ever be? Later than `closed`."""
    @property
    def context(self) -> Any:
        """As given to open it."""
    @property
    def filter(self) -> RouteFilter | None:
        """As given to open it."""
    @property
    def stats(self) -> MonitorStats:
        """The counters now; after close(), as they stood then."""
    @property
    def wait_handle(self) -> int:
        """Windows: a HANDLE that is set exactly while something is queued.

        Raises:
            NotSupported: Not on Windows.
            MonitorClosed: Closed.
        """
    def poll(self) -> RouteChange | None:
        """The next change, or None when nothing is queued. Never blocks."""
    def get(self, timeout: float | None = None) -> RouteChange:
        """The next change; waits for it up to timeout seconds, None for ever.

        Raises:
            WaitTimeout: A TimeoutError: no change came in time.
            MonitorClosed: Closed, and everything queued was taken.
            InvalidParameter: timeout is negative, NaN or above 1e9.
        """
    def drain(self, max: int | None = None) -> list[RouteChange]:
        """What is queued, at most max; may be empty. Never blocks.

        Raises:
            InvalidParameter: max is negative.
        """
    def batch(self, max: int | None = 65536, timeout: float | None = 0) -> RouteBatch:
        """What is queued as one block, without an object per change.

        Args:
            max: Most rows to take; None: all that are queued now.
            timeout: Seconds to wait for the first change; None: for ever; 0
                never blocks. The batch is empty when none came in time, and
                always when max is 0.

        Raises:
            MonitorClosed: Closed, everything taken, and it would have to wait.
            InvalidParameter: max is negative, or timeout is negative, NaN or
                above 1e9.
        """
    def _gather_enter(self, max: int, /) -> None: ...
    def _gather_leave(self, max: int, /) -> None: ...
    def _gather(self, max: int, /) -> tuple[int, int] | None: ...
    def _wait(self, gathered: bool, seconds: float, /) -> None: ...
    def _gather_object(self) -> int: ...
    def fileno(self) -> int:
        """A descriptor that is readable exactly while something is queued.

        And once the monitor is closed. Not to be read from.

        When the last that is queued, behind a full queue, cancels out (an ADD and
        its DELETE), it stays readable until poll() or drain() has found nothing.

        Raises:
            NotSupported: On Windows.
            MonitorClosed: Closed.
        """
    def close(self) -> None:
        """End the notifications and wake every waiter.

        Idempotent, from any thread. What is queued can still be taken.
        """
    def _quieten(self) -> None:
        """The interpreter ends: close() wakes nobody any more."""
    def resync(self) -> None:
        """Compare with the system now; returns when the difference is queued.

        Raises:
            MonitorClosed: Closed.
            RouteNotifyError: The system refused.
        """
    def _feed(self, records: ReadableBuffer, /) -> int:
        """Queue recorded changes; return how many of them fitted."""
    def _feed_end(self, failure: BaseException | None, /) -> None:
        """No more comes; whoever waits gets failure, if not None."""
    def _feed_fork(self) -> None:
        """This is a forked child: nobody feeds it here."""
    def _snapshot(self) -> tuple[list[RouteChange], int]: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *args: object) -> None: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> RouteChange: ...
    def __reduce__(self) -> NoReturn: ...

@final
class Tally:
    """Counts changes by destination and by kind, without an object per change.

    For the command line; `records` are the 128-byte records of a RouteBatch.
    """

    def __new__(cls, *, limit: int = 500_000) -> Self:
        """Tell at most `limit` destinations apart; then forget the quieter half.

        Raises:
            ValueError: limit is below 2 or above 67108864.
        """
    def add(self, records: ReadableBuffer, now_ns: int = 0) -> None:
        """Count records; markers are passed over.

        Args:
            records: a buffer of whole records.
            now_ns: the wall clock, to measure delays by; 0: do not.

        Raises:
            ValueError: the buffer holds no whole number of records.
        """
    def kinds(self) -> list[tuple[int, int, int, int, int, int, int]]:
        """(ip_version, table, protocol, interface_index, adds, deletes, parameters)."""
    def top(
        self, count: int, order: str = "changes"
    ) -> list[tuple[str, int, int, int, int, int, int]]:
        """(destination, table, adds, deletes, parameters, flaps, last_ns) each.

        Args:
            count: how many at most, up to 10000.
            order: "changes", "flaps", "adds", "deletes" or "time".

        Raises:
            ValueError: an argument is none of these.
        """
    def clear(self) -> None:
        """Forget all."""
    @property
    def destinations(self) -> int:
        """How many destinations are told apart now."""
    @property
    def forgotten(self) -> int:
        """Destinations dropped at the limit."""
    @property
    def merged(self) -> int:
        """Changes that others stand for."""
    @property
    def delays(self) -> list[tuple[int | None, int]]:
        """(upper bound in nanoseconds, count); None: above all bounds."""
    @property
    def delay_sum_ns(self) -> int:
        """Sum of all delays in nanoseconds."""

def check_family(family: object, name: str, call: str, /) -> None:
    """Refuse what is none, in the words of a call that names its argument otherwise.

    Raises:
        InvalidParameter: It is none of AF_UNSPEC, AF_INET and AF_INET6.
    """

def table(family: int = 0, netns_fd: int = -1) -> list[Route]:
    """Every route of the family now."""

def best_route(
    address: ReadableBuffer,
    source: ReadableBuffer | None = None,
    interface_index: int = 0,
    netns_fd: int = -1,
) -> Route:
    """The Route the system takes to a packed address.

    Its preferred_source is the address it would send from.
    """

def complete(row: RouteChange | Route, /) -> Route:
    """The whole Route of a row, now."""

def interface_name(index: int, luid: int = 0, netns_fd: int = -1) -> str | None:
    """The interface's name now."""

def interface_index(name: str, netns_fd: int = -1) -> int:
    """The number of the interface that has this name now.

    Raises:
        RouteNotFound: There is none.
    """

def error_text(code: int, /) -> str:
    """The text of a Win32 error code; "" if it has none here."""

def call_guarded(
    callback: Callable[..., object], arguments: tuple[object, ...], /
) -> None:
    """Call callback(*arguments); what it raises goes to sys.unraisablehook."""
