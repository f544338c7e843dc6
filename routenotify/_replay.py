"""A monitor without a kernel: the changes of a recording, through the same queue.

A feeder reads the file and puts records into the monitor's native channel, as
many as fit, so nothing ever merges; everything from there on is RouteMonitor's.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import socket
import stat
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from io import BufferedReader
from typing import Final

from routenotify import _routenotify
from routenotify._api import RouteMonitor, closed_at_exit, open_monitors
from routenotify._batches import Batches
from routenotify._errors import (
    ERROR_INVALID_PARAMETER,
    ERROR_NOT_SUPPORTED,
    InvalidParameter,
    MonitorClosed,
    make_error,
)
from routenotify._filter import RouteFilter
from routenotify._recording._error import RecordingError
from routenotify._recording._open import Reader, reader, records
from routenotify._recording._row import SIZE, WAS, unpack
from routenotify._types import ChangeType, RouteKey, Snapshot

_CHUNK: Final = 1024  # records put into the channel at once
_LONGEST_WAIT: Final = 3600.0  # seconds of one wait
_SNAPSHOT: Final = 1  # enum rn_cause


class Replay(RouteMonitor):
    """The changes of a recording, as a RouteMonitor; `replay()` makes one."""

    def __init__(
        self,
        path: str | os.PathLike[str] | int,
        *,
        speed: float | None = None,
        family: int = socket.AF_UNSPEC,
        context: object = None,
        filter: RouteFilter | None = None,
        capacity: int = 16384,
        markers: bool = False,
    ) -> None:
        """Open a recording; the arguments are those of `replay`."""
        _check_speed(speed)
        if filter is not None and not isinstance(filter, RouteFilter):
            raise TypeError(f"replay(filter={filter!r}): RouteFilter or None expected")
        self._again = {
            "family": family,
            "filter": filter,
            "capacity": capacity,
            "markers": markers,
        }
        self._place = _Place(path)
        names: dict[int, str] = {}
        with contextlib.ExitStack() as undo:
            file = undo.enter_context(self._place.open())
            source = reader(file, self._place.name, names)
            feeder = _Feeder(file, source, speed, remember=filter is not None)
            program = filter and filter._compile(_Names(self._place).index)
            with _errors_of_replay():
                _routenotify.Monitor.__init__(
                    self,
                    family,
                    context=context,
                    filter=filter,
                    program=program,
                    capacity=capacity,
                    markers=markers,
                    room=feeder.wake.put,
                    names=names,
                )
            undo.pop_all()
        self._feeder = feeder
        closed_at_exit(self)
        feeder.start(self)

    @property
    def offset(self) -> int:
        """How far the file has been read, in bytes."""
        return self._feeder.offset

    @property
    def size(self) -> int:
        """The file's size in bytes; 0 of what has none, such as a pipe."""
        return self._feeder.size

    def close(self) -> None:
        """End the replay and wake every waiter; what is queued can be taken."""
        super().close()
        self._feeder.stop()

    def __exit__(self, *args: object) -> None:
        """Close it."""
        self.close()

    def batches(self, *, max: int | None = 65536, debounce: float = 0) -> Batches:
        """Iterate by batches, with `for` or `async for`, as of a RouteMonitor.

        Nothing came for `debounce` seconds of the replay, not of the recording.

        Args:
            max: Most changes in a batch; None: any number.
            debounce: Seconds.

        Raises:
            InvalidParameter: max is below 1, or debounce is negative, NaN or
                above 1e9.
        """
        batches = super().batches(max=max, debounce=debounce)
        batches._age = self._feeder.age
        return batches

    def resync(self) -> None:
        """Do nothing: a recording has no system to compare with.

        Raises:
            MonitorClosed: Closed.
        """
        self._check_open()

    def snapshot(self) -> Snapshot:
        """The table where the replay stands, from the file's start on.

        Only the routes that the recording told of: rtmon's begin with none.

        Raises:
            MonitorClosed: Closed.
            NotSupported: It comes out of a pipe or a descriptor.
            OSError: The file cannot be read again.
        """
        self._check_open()
        self._place.check_again("snapshot")
        stats = self.stats
        sequence = stats.received - stats.filtered
        table: dict[RouteKey, _routenotify.RouteChange] = {}
        with Replay(
            self._place.name,
            **self._again,  # type: ignore[arg-type]
        ) as again:
            at = 0
            while at < sequence:
                change = again.get()
                at = change.sequence
                _apply(table, change, sequence)
        return Snapshot(list(table.values()), sequence)

    def _check_open(self) -> None:
        _ = self.fileno() if sys.platform != "win32" else self.wait_handle


def replay(
    path: str | os.PathLike[str] | int,
    *,
    speed: float | None = None,
    family: int = socket.AF_UNSPEC,
    context: object = None,
    filter: RouteFilter | None = None,
    capacity: int = 16384,
    markers: bool = False,
) -> Replay:
    """A monitor that delivers a recording instead of this system's changes.

    It has the methods of `RouteMonitor` and works on every system, so what is
    written for a monitor can be tested with a file. Nothing merges: the replay
    waits for a slow consumer. A recording that fits into `capacity` is queued
    whole when this returns, unless `speed` is given or it is still being written
    into a pipe. When everything was taken, iteration ends and `get()` raises
    MonitorClosed, as after `close()`.

    `time_ns` is as recorded, `sequence` counts anew, `interface` gives the name
    that the recording has, and `complete()` is not supported.

    Args:
        path: The file: rtmon's format (`rtmon file F`, `routenotify record F`)
            or JSON lines (`routenotify watch --json`); its first bytes tell.
            Or the number of an open descriptor, such as 0, which stays open;
            what it gets until `close()` and a little more is the replay's.
        speed: How many times as fast as it was recorded; None: at once.
        family: AF_UNSPEC for both, AF_INET or AF_INET6.
        context: Anything; kept as `context`.
        filter: What is wanted, on every system by all its keywords; names of
            interfaces are the recording's.
        capacity: Changes that are read ahead, 2 to 16777216.
        markers: Deliver the recorded SNAPSHOT_END, RESYNC_BEGIN and _END too.

    Raises:
        RecordingError: The file is no recording. One that is damaged later
            delivers what comes before; then iteration and `get()` raise it.
        InvalidParameter: An argument is out of its range, or the filter names an
            interface that the recording does not.
        NotSupported: The filter names an interface, and the recording cannot be
            searched for its number first: it comes out of a pipe or a descriptor.
        OSError: The file cannot be opened.
    """
    return Replay(
        path,
        speed=speed,
        family=family,
        context=context,
        filter=filter,
        capacity=capacity,
        markers=markers,
    )


def _check_speed(speed: float | None) -> None:
    if speed is None:
        return
    if isinstance(speed, bool) or not isinstance(speed, int | float):
        raise TypeError(
            f"replay(speed={speed!r}): a number or None expected, got {type(speed)}"
        )
    if not 0 < speed < math.inf:
        detail = f"speed={speed!r} is not between 0 and infinity"
        raise InvalidParameter(ERROR_INVALID_PARAMETER, "replay", detail)


@contextlib.contextmanager
def _errors_of_replay() -> Iterator[None]:
    """Have what the native layer says of arguments name the user's own call."""
    try:
        yield
    except InvalidParameter as error:
        raise InvalidParameter(error.code, "replay", error.detail) from None
    except TypeError as error:
        text = str(error).replace("RouteMonitor(", "replay(", 1)
        raise TypeError(text) from None


class _Place:
    """Where a recording is: a file, a pipe, an open descriptor."""

    def __init__(self, path: object) -> None:
        self._descriptor = (
            path if isinstance(path, int) and not isinstance(path, bool) else None
        )
        if self._descriptor is not None:
            self.name = f"/dev/fd/{path}"
        elif isinstance(path, str | os.PathLike):
            self.name = os.fspath(path)
        else:
            raise TypeError(
                f"replay(path={path!r}): a path or a descriptor expected, "
                f"got {type(path)}"
            )

    def open(self) -> BufferedReader:
        if self._descriptor is None:
            return open(self.name, "rb")
        return open(self._descriptor, "rb", closefd=False)

    def check_again(self, call: str) -> None:
        """See that it can be read a second time, from its start.

        Raises:
            NotSupported: It cannot.
        """
        if self._descriptor is None and stat.S_ISREG(os.stat(self.name).st_mode):
            return
        detail = f"{self.name!r} cannot be read a second time"
        raise make_error(ERROR_NOT_SUPPORTED, call, detail)


def _apply(
    table: dict[RouteKey, _routenotify.RouteChange],
    change: _routenotify.RouteChange,
    sequence: int,
) -> None:
    if change.type in (ChangeType.ADD, ChangeType.PARAMETER):
        row = unpack(change.raw)._replace(
            type=ChangeType.ADD, cause=_SNAPSHOT, sequence=sequence, merged=1
        )
        table[change.key] = change._with(row.pack())
    elif change.type == ChangeType.DELETE:
        table.pop(change.key, None)
    elif change.type == ChangeType.RESYNC_BEGIN and change.cause == "memory":
        table.clear()  # "forget all, the table follows"


class _Names:
    """The interfaces' names in a recording, read when one is asked for."""

    def __init__(self, place: _Place) -> None:
        self._place = place
        self._numbers: dict[str, int] | None = None

    def index(self, name: str) -> int:
        """The number of the interface with a name.

        Raises:
            InvalidParameter: The recording, as far as it is whole, has no such.
            NotSupported: It cannot be read twice.
        """
        if self._numbers is None:
            self._place.check_again("RouteFilter")
            names: dict[int, str] = {}
            with self._place.open() as file, contextlib.suppress(RecordingError):
                deque(records(reader(file, self._place.name, names)), maxlen=0)
            self._numbers = {name: number for number, name in names.items()}
        if name not in self._numbers:
            detail = f"interfaces={name!r} does not exist in the recording"
            raise InvalidParameter(ERROR_INVALID_PARAMETER, "RouteFilter", detail)
        return self._numbers[name]


def _with_was(record: bytes, rows: dict[RouteKey, tuple[int, int]]) -> bytes:
    """Have a PARAMETER tell the filter what it may have wanted before.

    Args:
        record: as the file has it.
        rows: protocol and type of the rows so far; kept up to date.
    """
    row = unpack(record)
    key = _routenotify.RouteChange(record).key
    now = row.protocol, row.route_type
    if row.type == ChangeType.DELETE:
        rows.pop(key, None)
    elif key:
        was = rows.get(key, now)
        rows[key] = now
        if row.type == ChangeType.PARAMETER and was != now:
            return row._replace(sequence=WAS | was[0] << 8 | was[1]).pack()
    return record


class _Feeder:
    """Takes records out of a file and puts them into a monitor, in time.

    Its thread holds no reference to the monitor while it waits, so a monitor that
    nobody refers to ends, and the thread with it.
    """

    def __init__(
        self,
        file: BufferedReader,
        source: Reader,
        speed: float | None,
        *,
        remember: bool,
    ) -> None:
        self._file = file
        self._source = source
        self._records = records(source)
        self._speed = speed
        self._rows: dict[RouteKey, tuple[int, int]] | None = {} if remember else None
        self._ahead: bytes | None = None  # read, not yet due
        self._chunk = b""  # due, not yet in the channel
        self._over = False
        self._failure: BaseException | None = None
        self._began: tuple[int, float] | None = None  # recorded time, our clock
        self._thread: threading.Thread | None = None
        status = os.fstat(file.fileno())
        self.size = status.st_size
        # What a pipe has is delivered at once: more may be long in coming.
        self._together = _CHUNK if stat.S_ISREG(status.st_mode) else 1
        # An item: the channel has room, or the monitor is closed, or gone.
        self.wake: queue.SimpleQueue[None] = queue.SimpleQueue()

    @property
    def offset(self) -> int:
        return self.size if self._over else self._source.offset

    def start(self, monitor: Replay) -> None:
        """Feed what fits and is due; leave the rest, if any, to a thread.

        All of it, if it may be long in coming.
        """
        wait = self._step(lambda: monitor) if self._together > 1 else 0.0
        if wait is None:
            self._file.close()
            return
        wake = self.wake
        ref = weakref.ref(monitor, lambda _: wake.put(None))
        self._thread = threading.Thread(
            target=self._run, args=(ref, wait), name="routenotify replay", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Wait until the thread, which the monitor's close woke, has ended."""
        thread = self._thread
        # What is read from a pipe may never come: then the thread is left to it.
        if thread not in (None, threading.current_thread()) and self.size:
            thread.join()

    def _run(self, ref: weakref.ref[Replay], wait: float | None) -> None:
        with self._file, contextlib.suppress(MonitorClosed):
            while wait is not None:
                with contextlib.suppress(queue.Empty):
                    self.wake.get(timeout=min(wait, _LONGEST_WAIT))
                wait = self._step(ref)

    def _step(self, ref: Callable[[], Replay | None]) -> float | None:
        """Feed what can be fed now; return how long to wait, None at the end.

        Raises:
            MonitorClosed: It was closed.
        """
        try:
            return self._feed_due(ref)
        except MonitorClosed:
            raise
        except Exception as error:  # noqa: BLE001 - else nobody ends the wait for it
            monitor = ref()
            if monitor is not None:
                monitor._feed_end(error)
            return None

    def _feed_due(self, ref: Callable[[], Replay | None]) -> float | None:
        while True:
            if not self._chunk:
                self._gather()
            monitor = ref()
            if monitor is None:
                return None
            if not self._chunk:
                return self._pause(monitor)
            taken = monitor._feed(self._chunk)
            del monitor
            self._chunk = self._chunk[taken * SIZE :]
            if self._chunk:
                return math.inf  # until there is room

    def _pause(self, monitor: Replay) -> float | None:
        """Nothing is due: how long until something is; at the end, end it."""
        if self._ahead is None:
            monitor._feed_end(self._failure)
            return None
        monitor._feed(b"")  # is it still open?
        return max(0.0, self._delay(self._ahead))

    def _gather(self) -> None:
        """Read what is due into the chunk."""
        parts: list[bytes] = []
        while len(parts) < self._together:
            if self._ahead is None:
                self._ahead = self._read()
            if self._ahead is None or self._delay(self._ahead) > 0:
                break
            parts.append(self._ahead)
            self._ahead = None
        self._chunk = b"".join(parts)

    def _read(self) -> bytes | None:
        if self._over:
            return None
        try:
            record = next(self._records)
            return record if self._rows is None else _with_was(record, self._rows)
        except StopIteration:
            self._over = True
        except (OSError, MemoryError) as error:  # a RecordingError is an OSError
            self._over = True
            self._failure = error
        return None

    def _delay(self, record: bytes) -> float:
        """Seconds until a record is due; 0 or less: it is."""
        return -self.age(int.from_bytes(record[8:16], sys.byteorder, signed=True))

    def age(self, recorded: int) -> float:
        """How many seconds ago what has this time was due; below 0: it is not.

        0 of all if nothing says when: a time was not recorded, or there is no speed.
        """
        if self._speed is None or not recorded:
            return 0.0
        now = time.monotonic()
        if self._began is None:
            self._began = recorded, now
        since, start = self._began
        return now - start - (recorded - since) / 1e9 / self._speed


def _end_in_child() -> None:
    for monitor in open_monitors():
        monitor._feed_fork()  # nothing, of a live one


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_end_in_child)
