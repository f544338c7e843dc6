"""The double of iphlpapi, steered from a test in the same process."""

from __future__ import annotations

import ctypes
import enum
import ipaddress
import socket
import time
from collections.abc import Callable
from ctypes import wintypes

import routenotify

LUID_1 = 6 << 48 | 1 << 24
LUID_2 = 71 << 48 | 2 << 24
INDEX_1 = 7
INDEX_2 = 12
AF_INET6 = 23  # not Linux's 10


class Mode(enum.IntFlag):
    """How the system behaves; see double.h."""

    NORMAL = 0
    PAGES = 1
    OVERLAP = 2
    INITIAL_WORKER = 4
    INITIAL_LATE = 8
    FRESH_THREAD = 16
    NULL_HANDLE = 32
    CLOCK = 64
    EARLY = 128
    NO_TABLE = 256


class Api(enum.IntEnum):
    """Functions that can be made to fail."""

    NOTIFY = 0
    CANCEL = 1
    TABLE = 2
    ENTRY = 3
    BEST = 4
    ALIAS = 5
    LUID = 6
    METRIC = 7


class Stats(ctypes.Structure):
    """struct rnd_stats."""

    _fields_ = (
        ("called", ctypes.c_uint64),
        ("initial", ctypes.c_uint64),
        ("live", ctypes.c_uint32),
        ("opened", ctypes.c_uint32),
        ("self_cancels", ctypes.c_uint32),
        ("double_cancels", ctypes.c_uint32),
        ("bad_cancels", ctypes.c_uint32),
        ("touched", ctypes.c_uint32),
        ("tables", ctypes.c_uint32),
        ("bad_frees", ctypes.c_uint32),
        ("overlaps", ctypes.c_uint32),
    )
    called: int
    initial: int
    live: int
    opened: int
    self_cancels: int
    double_cancels: int
    bad_cancels: int
    touched: int
    tables: int
    bad_frees: int
    overlaps: int


class Sockaddr(ctypes.Structure):
    """SOCKADDR_INET, as a family and 26 bytes."""

    _fields_ = (("family", ctypes.c_uint16), ("rest", ctypes.c_ubyte * 26))
    _align_ = 4

    @classmethod
    def of(cls, address: str, scope_id: int = 0) -> Sockaddr:
        """From text."""
        ip = ipaddress.ip_address(address)
        self = cls()
        self.family = 2 if ip.version == 4 else AF_INET6
        start = 2 if ip.version == 4 else 6
        self.rest[start : start + len(ip.packed)] = list(ip.packed)
        self.rest[22:26] = list(scope_id.to_bytes(4, "little"))
        return self


class Row(ctypes.Structure):
    """MIB_IPFORWARD_ROW2, 104 bytes."""

    _fields_ = (
        ("InterfaceLuid", ctypes.c_uint64),
        ("InterfaceIndex", ctypes.c_uint32),
        ("Destination", Sockaddr),
        ("PrefixLength", ctypes.c_uint32),
        ("NextHop", Sockaddr),
        ("SitePrefixLength", ctypes.c_uint32),
        ("ValidLifetime", ctypes.c_uint32),
        ("PreferredLifetime", ctypes.c_uint32),
        ("Metric", ctypes.c_uint32),
        ("Protocol", ctypes.c_uint32),
        ("Loopback", ctypes.c_ubyte),
        ("AutoconfigureAddress", ctypes.c_ubyte),
        ("Publish", ctypes.c_ubyte),
        ("Immortal", ctypes.c_ubyte),
        ("Age", ctypes.c_uint32),
        ("Origin", ctypes.c_uint32),
    )


assert ctypes.sizeof(Row) == 104


def row(
    destination: str,
    next_hop: str | None = None,
    *,
    luid: int = LUID_1,
    index: int = INDEX_1,
    scope_id: int = 0,
    **members: int,
) -> Row:
    """A row as Windows would have it; scope_id is the next hop's."""
    network = ipaddress.ip_network(destination)
    unspecified = "0.0.0.0" if network.version == 4 else "::"
    made = Row()
    made.InterfaceLuid = luid
    made.InterfaceIndex = index
    made.Destination = Sockaddr.of(str(network.network_address))
    made.PrefixLength = network.prefixlen
    made.NextHop = Sockaddr.of(next_hop or unspecified, scope_id)
    made.SitePrefixLength = 255
    made.ValidLifetime = made.PreferredLifetime = 0xFFFFFFFF
    made.Metric = 256
    made.Protocol = 3
    made.Immortal = 1
    for name, value in members.items():
        setattr(made, name, value)
    return made


PARAMETER, ADD, DELETE, INITIAL = range(4)

CALLBACK = ctypes.WINFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)


class Double:
    """Its control functions."""

    def __init__(self) -> None:
        """Find it; fails where the real iphlpapi, or Wine's, is loaded."""
        self._callbacks: dict[int | None, object] = {}
        self.dll = dll = ctypes.WinDLL("iphlpapi.dll")
        assert hasattr(dll, "rnd_fire"), "this is not the double of iphlpapi"
        dll.rnd_fire.restype = ctypes.c_uint64
        dll.rnd_register_nothing.restype = wintypes.HANDLE
        dll.rnd_change.argtypes = [ctypes.POINTER(Row), ctypes.c_int]
        dll.rnd_table_change.argtypes = [ctypes.POINTER(Row), ctypes.c_int]
        dll.rnd_fire_row.argtypes = [ctypes.POINTER(Row), ctypes.c_int]

    def mode(self, mode: Mode) -> None:
        """Behave so from now on."""
        self.dll.rnd_mode(int(mode))

    def inject(self, api: Api, code: int, count: int = 1) -> None:
        """The next calls of a function return code and do nothing."""
        self.dll.rnd_inject(int(api), wintypes.DWORD(code), count)

    @property
    def stats(self) -> Stats:
        """What happened so far."""
        stats = Stats()
        self.dll.rnd_stats_get(ctypes.byref(stats))
        return stats

    def fire(self, count: int, first: int = 0, family: int = 2, kind: int = ADD) -> int:
        """Notify, on a thread that is none of Python's; nanoseconds of CPU it took."""
        return int(self.dll.rnd_fire(count, first, family, kind))

    def fire_async(
        self,
        count: int,
        first: int = 0,
        family: int = 2,
        kind: int = ADD,
        gap_us: int = 0,
    ) -> None:
        """The same without waiting for it."""
        assert self.dll.rnd_fire_async(count, first, family, kind, gap_us) == 0

    def churn_async(
        self, count: int, seed: int, spread: int = 64, gap_us: int = 0
    ) -> None:
        """Change random routes, and notify, on a thread of its own."""
        assert self.dll.rnd_churn_async(count, seed, spread, gap_us) == 0

    def join(self, *, stop: bool = False) -> None:
        """Wait for the threads; stop them first if asked."""
        self.dll.rnd_join(int(stop))

    def change(self, route: Row, kind: int) -> bool:
        """Change the table and notify."""
        return bool(self.dll.rnd_change(ctypes.byref(route), kind))

    def change_silently(self, route: Row, kind: int) -> bool:
        """Change the table, tell nobody."""
        return bool(self.dll.rnd_table_change(ctypes.byref(route), kind))

    def change_during_table(self, route: Row, kind: int) -> None:
        """Change, and notify, while the next GetIpForwardTable2 is under way."""
        self.dll.rnd_change_during_table(ctypes.byref(route), kind)

    def tell(self, route: Row, kind: int) -> None:
        """Notify, whatever the table says."""
        self.dll.rnd_fire_row(ctypes.byref(route), kind)

    def set_table(self, *routes: Row) -> None:
        """Replace the table, tell nobody."""
        self.dll.rnd_table_set((Row * len(routes))(*routes), len(routes))

    def drop_all(self) -> int:
        """Forget registrations that a failed cancel left; how many."""
        return int(self.dll.rnd_drop_all())

    def callback_time(self) -> tuple[int, float, float]:
        """(calls, mean ns, max ns) since the last question; Mode.CLOCK."""
        values = [ctypes.c_uint64() for _ in range(3)]
        self.dll.rnd_cbtime(*(ctypes.byref(value) for value in values))
        count, total, most = (value.value for value in values)
        return count, total / max(count, 1), most

    def register_python(
        self, call: Callable[[int | None, int | None, int], object]
    ) -> Callable[[], None]:
        """What people do without this package: a ctypes callback.

        Returns:
            A function that cancels it.
        """
        callback = CALLBACK(call)
        handle = wintypes.HANDLE()
        code = self.dll.NotifyRouteChange2(
            socket.AF_UNSPEC, callback, None, False, ctypes.byref(handle)
        )
        assert code == 0
        self._callbacks[handle.value] = callback
        return lambda: self._cancel(handle.value)

    def register_nothing(self) -> Callable[[], None]:
        """A callback in C that does nothing; returns what cancels it."""
        handle = self.dll.rnd_register_nothing()
        return lambda: self._cancel(handle)

    def _cancel(self, handle: int | None) -> None:
        assert self.dll.CancelMibChangeNotify2(wintypes.HANDLE(handle)) == 0
        self._callbacks.pop(handle, None)


NO_TEXT = "<no description>"


def check_error(error: routenotify.RouteNotifyError, code: int, call: str) -> None:
    """It has the number, FormatMessage's text if it has one, and the call's name."""
    assert (code, code) == (error.code, error.winerror)
    assert call == error.call
    text = ctypes.FormatError(code).strip()
    assert error.strerror
    assert text in (error.strerror, NO_TEXT)


def wait_until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    """Until it holds.

    Raises:
        TimeoutError: it did not in time.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{condition} did not come true")
        time.sleep(0.001)
