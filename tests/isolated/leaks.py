"""Every public call, made again and again in an interpreter of its own: all is flat.

    PYTHONPATH=tests:tests/replay python tests/isolated/leaks.py RouteMonitor

Flat means: no Python object more (sys.getallocatedblocks), no byte of C memory more
(mallinfo2, which counts exactly where RSS would have to guess), no descriptor and no
thread more. `public()` lists what there is to call; test_leaks.py fails when a name
of it has no entry in `CALLS`.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import copy
import ctypes
import enum
import functools
import gc
import inspect
import itertools
import json
import os
import pickle
import resource
import socket
import sys
import tempfile
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import rnlab
from replaylab import rtnl_send

import routenotify
from routenotify import netioapi

BATCHES = 4
ROUNDS = 100  # of a batch
COSTLY = 20  # rounds, where one takes milliseconds: threads, sockets, files
NOT_CALLS = {"__init__", "__new__", "__doc__", "__module__", "__slots__"}
SPECIAL = {
    *("__iter__", "__next__", "__aiter__", "__anext__", "__enter__", "__exit__"),
    *("__len__", "__getitem__", "__contains__", "__eq__", "__lt__", "__hash__"),
    *("__repr__", "__str__", "__reduce__", "__buffer__", "__and__", "__or__"),
    *("__invert__", "__call__", "__del__"),
}


def _is_call(owner: type, name: str, value: object) -> bool:
    if name in NOT_CALLS or isinstance(value, enum.Enum) or value is None:
        return False
    if name.startswith("_") and name not in SPECIAL and "arrow" not in name:
        return False
    if issubclass(owner, enum.Enum):
        return False
    return callable(value) or inspect.isdatadescriptor(value) or hasattr(value, "func")


def public() -> set[str]:
    """What a user may call: functions, classes, and what classes of ours define."""
    names = set()
    for module in (routenotify, netioapi):
        for name in module.__all__:
            value = getattr(module, name)
            if not callable(value):
                continue
            names.add(name)
            for owner in value.__mro__ if inspect.isclass(value) else ():
                if owner.__module__.startswith("routenotify"):
                    names |= {
                        f"{name}.{attribute}"
                        for attribute, found in vars(owner).items()
                        if _is_call(owner, attribute, found)
                    }
    return names


class Place:
    """A namespace of the process's own, and an example of everything."""

    def __init__(self) -> None:
        rnlab.isolate()
        self.namespace = rnlab.Namespace.current()
        self.namespace.veth("v0", "10.1.0.1/24", "2001:db8::1/64")
        self.sender = rtnl_send.Sender()
        self.index = socket.if_nametoindex("v0")
        folder = tempfile.TemporaryDirectory()
        atexit.register(folder.cleanup)
        self.file = Path(folder.name) / "recording"
        with routenotify.RouteMonitor(snapshot=True) as monitor:
            self.change = monitor.get(30)
            self.batch = monitor.batch()
            self.stats = monitor.stats
            self.snapshot = monitor.snapshot()
        self.route = self.change.complete()
        self.filter = routenotify.RouteFilter(
            destinations=["10.0.0.0/8", "2001:db8::/32"], more_specific=True
        )
        self.row = netioapi.GetIpForwardTable2(socket.AF_INET)[0]

    def flap(self) -> None:
        """Two changes: a route comes and goes."""
        gateway = socket.inet_aton("10.1.0.2")
        add = rtnl_send.message("add", "20.0.0.1", 32, gateway=gateway)
        self.sender.send([add, rtnl_send.message("del", "20.0.0.1", 32)])

    def record(self) -> Path:
        """A recording of a few changes."""
        if not self.file.exists():
            rows = [json.dumps(change.to_dict()) for change in self.batch]
            self.file.write_text("\n".join(rows) + "\n")
        return self.file


Call = Callable[[], object]
CALLS: dict[str, Callable[[Place], Call | Iterator[Call]]] = {}


def leak(*names: str) -> Callable[[Callable[[Place], typing.Any]], typing.Any]:
    """Register: what a function of the place gives, or yields, is called."""

    def register(make: Callable[[Place], typing.Any]) -> Callable[[Place], typing.Any]:
        CALLS.update(dict.fromkeys(names, make))
        return make

    return register


# --- what every value has: attributes, comparison, text, copies ---------------

SAMPLES: dict[str, Callable[[Place], object]] = {
    "RouteChange": lambda place: place.change,
    "Route": lambda place: place.route,
    "RouteBatch": lambda place: place.batch,
    "RouteFilter": lambda place: place.filter,
    "MonitorStats": lambda place: place.stats,
    "Snapshot": lambda place: place.snapshot,
    "MIB_IPFORWARD_ROW2": lambda place: place.row,
} | {
    name: functools.partial(
        lambda kind, _: kind(87, "bind", "family=3", 22), getattr(routenotify, name)
    )
    for name in routenotify.__all__
    if inspect.isclass(getattr(routenotify, name))
    and issubclass(getattr(routenotify, name), routenotify.RouteNotifyError)
}
WAYS: dict[str, Callable[[typing.Any], object]] = {
    "": copy.copy,
    "__eq__": lambda one: (one == copy.copy(one), one == 1, one != one),
    "__hash__": hash,
    "__repr__": repr,
    "__str__": str,
    "__reduce__": lambda one: pickle.loads(pickle.dumps(one)),
    "__len__": len,
    "__iter__": list,
    "__getitem__": lambda one: (one[0], one[-1], one[:2]),
    "__buffer__": lambda one: memoryview(one).tobytes(),
    "__and__": lambda one: one & one,
    "__or__": lambda one: one | one,
    "__invert__": lambda one: ~one,
}


def _in_order(one: typing.Any) -> None:
    with contextlib.suppress(TypeError):
        one < one  # noqa: B015 - that it has none must not leak either


WAYS["__lt__"] = _in_order


def _generic(name: str) -> Callable[[Place], Call] | None:
    owner, _, attribute = name.partition(".")
    sample = SAMPLES.get(owner)
    if sample is None:
        return None
    way = WAYS.get(attribute)
    if way is None:
        found = inspect.getattr_static(getattr(_home(owner), owner), attribute)
        if not inspect.isdatadescriptor(found):
            return None

        def way(one: typing.Any) -> object:
            return getattr(one, attribute)

    def make(place: Place) -> Call:
        one = sample(place)
        return lambda: way(one)

    return make


def _home(owner: str) -> typing.Any:
    return routenotify if hasattr(routenotify, owner) else netioapi


# --- monitors -----------------------------------------------------------------


def monitors(
    use: Callable[[Place, routenotify.RouteMonitor], object], **options: typing.Any
) -> Callable[[Place], Iterator[Call]]:
    """One monitor that stays open while it is used."""

    def make(place: Place) -> Iterator[Call]:
        with routenotify.RouteMonitor(**options) as monitor:
            yield lambda: use(place, monitor)

    return make


def _flapped(
    take: Callable[[routenotify.RouteMonitor], object],
) -> Callable[[Place], Iterator[Call]]:
    def use(place: Place, monitor: routenotify.RouteMonitor) -> None:
        place.flap()
        monitor.get(30)
        take(monitor)
        with contextlib.suppress(TimeoutError):
            while True:
                monitor.get(0)

    return monitors(use)


async def _all_aget(monitor: routenotify.RouteMonitor) -> None:
    await monitor.aget(30)
    with contextlib.suppress(TimeoutError):
        await monitor.aget(0.0001)


async def _first(monitor: routenotify.RouteMonitor) -> None:
    async for _ in monitor:
        return


def _first_batch(monitor: routenotify.RouteMonitor) -> None:
    for _ in monitor.batches(debounce=0.0001):
        return


def _nothing(place: Place, monitor: routenotify.RouteMonitor) -> None:
    monitor.poll()
    with contextlib.suppress(TimeoutError):
        monitor.get(0)


def _opened(place: Place) -> Call:
    def once() -> None:
        with routenotify.RouteMonitor(snapshot=True, filter=place.filter) as monitor:
            monitor.drain(1)
        netns = place.namespace.path
        with routenotify.RouteMonitor(netns=netns, capacity=2, snapshot=True):
            pass
        for wrong in ({"family": 7}, {"capacity": 1}, {"netns": "/nowhere"}):
            with contextlib.suppress(routenotify.RouteNotifyError):
                routenotify.RouteMonitor(**wrong)

    return once


for _name in ("RouteMonitor", *(f"RouteMonitor.{n}" for n in ("close", "__del__"))):
    CALLS[_name] = _opened
for _name in ("__enter__", "__exit__"):
    CALLS[f"RouteMonitor.{_name}"] = _opened
CALLS |= {
    "RouteMonitor.poll": _flapped(lambda monitor: monitor.poll()),
    "RouteMonitor.get": monitors(_nothing),
    "RouteMonitor.drain": _flapped(lambda monitor: monitor.drain()),
    "RouteMonitor.batch": _flapped(lambda monitor: monitor.batch(1, 5)),
    "RouteMonitor.batches": _flapped(_first_batch),
    "RouteMonitor.aget": _flapped(lambda monitor: asyncio.run(_all_aget(monitor))),
    "RouteMonitor.__aiter__": _flapped(lambda monitor: asyncio.run(_first(monitor))),
    "RouteMonitor.__iter__": _flapped(iter),
    "RouteMonitor.__next__": _flapped(next),
    "RouteMonitor.__repr__": monitors(lambda _, monitor: repr(monitor)),
    "RouteMonitor.snapshot": monitors(lambda _, monitor: monitor.snapshot()),
    "RouteMonitor.resync": monitors(lambda _, monitor: monitor.resync(), markers=True),
}


@leak("RouteMonitor.__reduce__")
def _pickled_monitor(place: Place) -> Iterator[Call]:
    with routenotify.RouteMonitor() as monitor:

        def once() -> None:
            with contextlib.suppress(TypeError):
                pickle.dumps(monitor)

        yield once


def _attribute(name: str) -> Callable[[Place], Iterator[Call]]:
    def use(_: Place, monitor: routenotify.RouteMonitor) -> None:
        with contextlib.suppress(routenotify.NotSupported):
            value = getattr(monitor, name)
            if name == "fileno":
                value()

    return monitors(use)


for _name in ("closed", "context", "filter", "stats", "wait_handle", "fileno"):
    CALLS[f"RouteMonitor.{_name}"] = _attribute(_name)


# --- replays: each round opens the recording and reads it ----------------------


def replays(
    use: Callable[[routenotify.Replay], object],
) -> Callable[[Place], Call]:
    """One replay for each call: it ends when it was read."""

    def make(place: Place) -> Call:
        path = place.record()

        def once() -> None:
            with routenotify.replay(path) as replay:
                use(replay)

        return once

    return make


async def _replayed(replay: routenotify.Replay) -> None:
    async for _ in replay:
        pass


def _read(replay: routenotify.Replay) -> None:
    for _ in replay:
        pass


def _refused(replay: routenotify.Replay) -> None:
    with contextlib.suppress(TypeError):
        pickle.dumps(replay)
    with contextlib.suppress(routenotify.NotSupported):
        _ = replay.wait_handle


REPLAYED: dict[str, Callable[[routenotify.Replay], object]] = {
    "__aiter__": lambda replay: asyncio.run(_replayed(replay)),
    "aget": lambda replay: asyncio.run(_all_aget(replay)),
    "batch": lambda replay: replay.batch(None, 5),
    "batches": lambda replay: next(replay.batches()),
    "drain": lambda replay: replay.drain(),
    "get": lambda replay: replay.get(30),
    "poll": lambda replay: replay.poll(),
    "snapshot": lambda replay: replay.snapshot(),
    "resync": lambda replay: replay.resync(),
    "fileno": lambda replay: replay.fileno(),
    "__repr__": repr,
    "__reduce__": _refused,
    "wait_handle": _refused,
}


# --- functions and methods -----------------------------------------------------


def calling(function: Callable[[Place], object]) -> Callable[[Place], Call]:
    """The function itself is the call."""
    return lambda place: lambda: function(place)


def _hear(place: Place) -> None:
    handle = netioapi.NotifyRouteChange2(
        socket.AF_UNSPEC, lambda *_: None, None, InitialNotification=True
    )
    repr(handle)
    place.flap()
    netioapi.CancelMibChangeNotify2(handle)
    with contextlib.suppress(routenotify.RouteNotifyError):
        netioapi.CancelMibChangeNotify2(handle)


def _route_of(place: Place) -> None:
    routenotify.best_route("10.1.0.9", source="10.1.0.1", interface="v0")
    routenotify.best_route("2001:db8::9", netns=place.namespace.path)
    with contextlib.suppress(routenotify.RouteNotFound):
        routenotify.best_route("203.0.113.1")
    with contextlib.suppress(routenotify.InvalidParameter):
        routenotify.best_route("nothing")


def _filtered(place: Place) -> None:
    routenotify.RouteFilter(
        destinations="10.0.0.0/8", more_specific=True, interfaces="v0", tables=[1, 254]
    )
    with contextlib.suppress(ValueError):
        routenotify.RouteFilter(destinations="10.0.0.1/8")


def _columns(place: Place) -> None:
    batch = place.batch
    batch.__arrow_c_schema__()
    batch.__arrow_c_array__()
    batch.__arrow_c_stream__()


# Without NumPy it is the refusal that does not leak.
NO_NUMPY = (
    () if os.environ.get("ROUTENOTIFY_REQUIRE_EXTRAS") == "1" else ModuleNotFoundError
)


def _numpy(place: Place) -> None:
    with contextlib.suppress(NO_NUMPY):
        place.batch.to_numpy()


def _kinds(place: Place) -> None:
    routenotify.ChangeType(1)
    routenotify.RouteType(1)
    netioapi.MIB_NOTIFICATION_TYPE(3)
    with contextlib.suppress(ValueError):
        routenotify.ChangeType(99)


CALLS |= {
    "routes": calling(lambda _: (routenotify.routes(), routenotify.routes(2))),
    "best_route": calling(_route_of),
    "replay": replays(_read),
    "GetIpForwardTable2": calling(lambda _: netioapi.GetIpForwardTable2(0)),
    "GetIpForwardEntry2": calling(lambda p: netioapi.GetIpForwardEntry2(p.row)),
    "GetBestRoute2": calling(lambda _: netioapi.GetBestRoute2("10.1.0.9")),
    "MIB_IPFORWARD_ROW2": calling(
        lambda p: netioapi.MIB_IPFORWARD_ROW2(p.row.DestinationPrefix)
    ),
    "RouteFilter": calling(_filtered),
    "RouteFilter.matches": calling(lambda p: p.filter.matches(p.change)),
    "RouteFilter.explain": calling(lambda p: p.filter.explain()),
    "RouteChange.complete": calling(lambda p: p.change.complete()),
    "RouteChange.to_dict": calling(lambda p: p.change.to_dict()),
    "Route.complete": calling(lambda p: p.route.complete()),
    "Route.to_dict": calling(lambda p: p.route.to_dict()),
    "Snapshot.to_table": calling(lambda p: p.snapshot.to_table()),
    "RouteBatch.to_numpy": calling(_numpy),
}
for _name in ("schema", "array", "stream"):
    CALLS[f"RouteBatch.__arrow_c_{_name}__"] = calling(_columns)
for _name in ("ChangeType", "RouteType", "MIB_NOTIFICATION_TYPE"):
    CALLS[_name] = calling(_kinds)
for _name in (
    *("NotifyRouteChange2", "CancelMibChangeNotify2"),
    *("NotificationHandle", "NotificationHandle.__repr__"),
):
    CALLS[_name] = calling(_hear)
CALLS["RouteKey"] = calling(lambda p: copy.deepcopy(p.change.key))

for _name in public():
    if _name.startswith("Replay"):
        CALLS.setdefault(_name, replays(REPLAYED.get(_name.partition(".")[2], _read)))
    elif _name not in CALLS and (_made := _generic(_name)):
        CALLS[_name] = _made

# A round of these is made of threads, sockets or files.
OWNERS_COSTLY = ("Replay", "replay", "Notif", "Cancel")
MONITOR_COSTLY = ("RouteMonitor", "RouteMonitor.close", "RouteMonitor.__del__")


# --- measuring ------------------------------------------------------------------


class _Mallinfo(ctypes.Structure):
    _fields_: typing.ClassVar = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def _heap() -> int:
    """Bytes of C memory in use; 0 where the C library does not say."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        return 0
    library.mallinfo2.restype = _Mallinfo
    info = library.mallinfo2()
    return int(info.uordblks + info.hblkhd)


class Held(typing.NamedTuple):
    """What the process holds."""

    blocks: int
    heap: int
    descriptors: int
    threads: int


def held() -> Held:
    """Now, without what only waits for the collector or for a thread to end."""
    gc.collect()
    with contextlib.suppress(AssertionError):
        rnlab.wait_for(lambda: len(os.listdir("/proc/self/task")) <= 2, deadline=0.2)
    return Held(
        sys.getallocatedblocks(),
        _heap(),
        len(os.listdir("/proc/self/fd")),
        len(os.listdir("/proc/self/task")),
    )


def growth(call: Call, rounds: int) -> Held:
    """The least that a batch of rounds left behind, of several batches.

    A leak is in every batch; a table that grew, or a free list that filled, is not.
    """
    for _ in range(rounds):
        call()
    kept = [held()]
    for _ in range(BATCHES):
        for _ in range(rounds):
            call()
        kept.append(held())
    steps = [
        tuple(new - old for old, new in zip(before, after, strict=True))
        for before, after in itertools.pairwise(kept)
    ]
    return Held(*(min(column) for column in zip(*steps, strict=True)))


def rounds_of(name: str) -> int:
    """How many make a batch."""
    costly = name.startswith(OWNERS_COSTLY) or name in MONITOR_COSTLY
    return COSTLY if costly or CALLS[name] is _opened else ROUNDS


def _measured(call: Call, rounds: int) -> str:
    """What a call leaves behind; "" if nothing.

    What grows by a few, and by no more with more rounds, is no leak.
    """
    for factor in (1, 2, 4):
        left = growth(call, rounds * factor)
        # Less than one for four rounds is none; C memory comes in 24 bytes or more.
        if (
            left.blocks * 4 < rounds * factor
            and left.heap < rounds * factor * 6
            and left.descriptors <= 0
            and left.threads <= 0
        ):
            return ""
    return f"{rounds * factor} rounds left {left}"


def leaks_of(name: str, place: Place) -> str:
    """What a public call leaves behind; "" if nothing."""
    made = CALLS[name](place)
    if not isinstance(made, Iterator):
        return _measured(made, rounds_of(name))
    found = _measured(next(made), rounds_of(name))
    for _ in made:  # closes the monitor
        pass
    return found


def main(owner: str) -> int:
    """Try every call of an owner; 1 if one leaks."""
    names = sorted(n for n in CALLS if n.partition(".")[0] == owner)
    place = Place()
    wrong = [f"{n}: {found}" for n in names if (found := leaks_of(n, place))]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{owner}: {len(names)} calls, {len(wrong)} leak, peak RSS {peak} KiB")
    print(*wrong, sep="\n")
    return bool(wrong) or not names


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
