"""A replay is a monitor: the same methods, queue and errors, without a kernel."""

from __future__ import annotations

import asyncio
import copy
import gc
import io
import os
import select
import socket
import sys
import threading
import time
import warnings

import pytest
import rows

import routenotify
from routenotify._recording._open import writer
from routenotify._recording._rtmon import RtmonReader
from routenotify._replay import _Feeder

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="descriptors, fork")


def make(path, changes):
    """Write a recording."""
    path.write_bytes(recorded(changes))
    return path


def recorded(changes, kind="rtmon"):
    """The bytes of a recording."""
    file = io.BytesIO()
    out = writer(file, kind)
    for change in changes:
        out.write(change)
    return file.getvalue()


def many(count, **fields):
    """As many routes that come, numbered as a replay will."""
    return [
        rows.change(
            f"10.{n >> 8 & 255}.{n & 255}.0/24",
            via="192.0.2.1",
            sequence=n + 1,
            **{"time_ns": 1_000_000 + n * 1000} | fields,
        )
        for n in range(count)
    ]


@pytest.fixture
def small(tmp_path):
    """A recording that fits into the queue."""
    return make(tmp_path / "small", many(100))


@pytest.fixture
def large(tmp_path):
    """One that fits into no queue of 64."""
    return make(tmp_path / "large", many(5000))


def test_a_small_recording_is_queued_whole_at_once(small):
    """What a test drains does not depend on a thread's luck."""
    with routenotify.replay(small) as monitor:
        assert 100 == monitor.stats.queued
        assert many(100) == monitor.drain()
        assert [] == monitor.drain()
        assert None is monitor.poll()
        with pytest.raises(routenotify.MonitorClosed):
            monitor.get()


def test_it_is_a_route_monitor(small):
    """Code that takes one takes the other."""
    context = object()
    with routenotify.replay(str(small), context=context) as monitor:
        assert isinstance(monitor, routenotify.RouteMonitor)
        assert context is monitor.context
        assert "closed" in repr(monitor)  # nothing more will come
        assert many(100) == list(monitor)
        assert (monitor.offset, monitor.size) == (small.stat().st_size,) * 2


@pytest.mark.parametrize("take", ["iterate", "get", "poll", "drain", "batch", "async"])
def test_a_long_recording_is_never_merged(large, take):
    """The feeder waits for the slowest consumer, by whatever method it takes."""
    with routenotify.replay(large, capacity=64) as monitor:
        if take == "iterate":
            found = list(monitor)
        elif take == "async":
            found = asyncio.run(gather(monitor))
        else:
            found = take_all(monitor, take)
        stats = monitor.stats

    assert many(5000) == found
    assert (5000, 0) == (stats.delivered, stats.conflated)
    assert stats.high_water <= 64


def take_all(monitor, take):
    """All of `large`, by one method."""
    found = []
    while len(found) < 5000:
        if take == "get":
            found.append(monitor.get(10))
        elif take == "drain":
            found += monitor.drain(7)
        elif take == "batch":
            found += monitor.batch(7, timeout=10)
        elif (change := monitor.poll()) is not None:
            found.append(change)
    return found


async def gather(monitor):
    """What `async for` gives."""
    return [change async for change in monitor]


@LINUX
def test_the_descriptor_says_when_something_is_queued(large):
    """While there is more, and at the end."""
    found = 0
    with routenotify.replay(large, capacity=64) as monitor:
        poller = select.poll()
        poller.register(monitor.fileno(), select.POLLIN)
        while not monitor.closed or monitor.stats.queued:
            assert poller.poll(10_000)
            found += len(monitor.drain())

    assert 5000 == found


def test_the_family_and_markers_are_chosen_as_in_a_monitor(tmp_path):
    """Both are the channel's own work."""
    changes = [
        rows.change("10.0.0.0/8"),
        rows.change("2001:db8::/32"),
        rows.change("0.0.0.0/0", ip_version=0, type=16),
    ]
    path = make(tmp_path / "r", changes)
    with routenotify.replay(path, family=socket.AF_INET6) as monitor:
        assert ["2001:db8::/32"] == [str(c.destination) for c in monitor]
        assert 2 == monitor.stats.filtered
    with routenotify.replay(path, markers=True) as monitor:
        assert ["ADD", "ADD", "SNAPSHOT_END"] == [c.type.name for c in monitor]


def test_how_many_changes_one_stands_for_is_kept(tmp_path):
    """A recording of a slow consumer is replayed as that consumer saw it."""
    path = make(tmp_path / "r", many(3, merged=7, cause=4))
    with routenotify.replay(path) as monitor:
        assert [(7, "link-down")] * 3 == [(c.merged, c.cause) for c in monitor]


def test_interfaces_have_the_names_of_the_recording(tmp_path):
    """Not those of the machine that replays it."""
    path = tmp_path / "r.jsonl"
    path.write_text(
        '{"type": "ADD", "destination": "10.0.0.0/8", "interface": "wan7", '
        '"interface_index": 1}\n'
        '{"type": "ADD", "destination": "10.0.0.0/8", "interface_index": 2}\n'
    )
    with routenotify.replay(path) as monitor:
        first, second = monitor
    gc.collect()

    assert ("wan7", None) == (first.interface, second.interface)
    assert "wan7" == first.to_dict()["interface"]
    # Copies were of the machine's own namespace: interface 1 is its lo.
    assert "wan7" == copy.copy(first).interface == copy.deepcopy(first).interface


def test_a_recorded_row_cannot_be_completed(small):
    """There is no system to ask, and this machine's would answer wrongly."""
    with (
        routenotify.replay(small) as monitor,
        pytest.raises(routenotify.NotSupported, match="recording has no system"),
    ):
        monitor.get().complete()


def test_a_snapshot_and_what_follows_is_the_table(tmp_path):
    """As with a monitor: apply the later changes to it."""
    changes = many(300)
    changes += many(300, type=2)[::3]
    path = make(tmp_path / "r", changes)
    with routenotify.replay(path, capacity=64) as monitor:
        for _ in range(200):
            monitor.get(10)
        snapshot = monitor.snapshot()
        table = snapshot.to_table()
        for change in monitor:
            if change.sequence > snapshot.sequence:
                if change.type == routenotify.ChangeType.DELETE:
                    del table[change.key]
                else:
                    table[change.key] = change

    assert snapshot.sequence >= 200
    assert {"snapshot"} == {row.cause for row in snapshot}
    assert {c.key for n, c in enumerate(many(300)) if n % 3} == table.keys()


def test_rows_of_a_snapshot_are_of_the_recording(tmp_path):
    """They were of this machine: interface 1 was lo, complete() asked the kernel."""
    path = tmp_path / "r.jsonl"
    path.write_text(
        '{"type": "ADD", "destination": "10.0.0.0/8", "interface": "wan7", '
        '"interface_index": 1}\n'
    )
    with routenotify.replay(path) as monitor:
        (row,) = monitor.snapshot()

    assert "wan7" == row.interface
    with pytest.raises(routenotify.NotSupported, match="recording has no system"):
        row.complete()


def test_a_snapshot_forgets_what_the_recorded_monitor_forgot(tmp_path):
    """After a RESYNC_BEGIN for want of memory only what follows is the table."""
    values = dict.fromkeys(rows.NAMES, 0) | {"type": 17, "cause": 12, "merged": 1}
    values |= dict.fromkeys(("destination", "next_hop", "source", "prefsrc"), b"")
    forgotten = routenotify.RouteChange(rows.RECORD.pack(*values.values()))
    assert routenotify.ChangeType.RESYNC_BEGIN == forgotten.type
    assert "memory" == forgotten.cause
    path = make(tmp_path / "r", [*many(3), forgotten, *many(2)])
    with routenotify.replay(path, markers=True) as monitor:
        while monitor.stats.queued:
            monitor.get(10)

        assert {c.key for c in many(2)} == monitor.snapshot().to_table().keys()


def test_resync_has_nothing_to_do(small):
    """A handler that calls it goes on working."""
    with routenotify.replay(small, speed=1) as monitor:
        assert None is monitor.resync()


def test_damage_is_raised_after_what_came_before(tmp_path):
    """By iteration, get() and async for alike, again and again."""
    path = make(tmp_path / "r", many(10))
    path.write_bytes(path.read_bytes()[:-1])
    with routenotify.replay(path) as monitor:
        for number in range(9):
            assert number + 1 == monitor.get().sequence
        for _ in range(2):
            with pytest.raises(routenotify.RecordingError, match="ends inside") as one:
                monitor.get()
            with pytest.raises(routenotify.RecordingError):
                next(monitor)
        assert 0 < one.value.offset < path.stat().st_size
        with pytest.raises(routenotify.RecordingError):
            asyncio.run(gather(monitor))


def test_damage_far_behind_is_raised_by_the_feeder_too(large):
    """It was not read yet when the replay was opened."""
    large.write_bytes(large.read_bytes()[:-1])
    with (
        routenotify.replay(large, capacity=64) as monitor,
        pytest.raises(routenotify.RecordingError),
    ):
        list(monitor)

    assert 4999 == monitor.stats.delivered


@pytest.mark.parametrize(
    "line",
    [
        '{"type": "INITIAL", "interface": "x", "interface_index": [1]}',
        '{"type": ' + "[" * 30_000,
        '{"type": "ADD"}',
    ],
    ids=["list", "deep", "no-destination"],
)
def test_any_damage_far_behind_ends_the_replay(tmp_path, line):
    """The feeder died of a TypeError or a RecursionError; the consumer hung."""
    path = tmp_path / "r.jsonl"
    whole = recorded(many(3000), "json")
    path.write_bytes(whole + line.encode() + b"\n")
    with routenotify.replay(path, capacity=64) as monitor:
        for change in many(3000):
            assert change == monitor.get(10)
        with pytest.raises(routenotify.RecordingError) as caught:
            monitor.get(10)

    assert (len(whole), str(path)) == (caught.value.offset, caught.value.path)


def test_a_fault_of_the_reader_ends_the_replay_too(large, monkeypatch):
    """Whatever it raises is told, with its place; nobody waits for ever."""
    stamps = iter(range(3000))
    stamp = RtmonReader._stamp

    def fail_later(self, body):
        if next(stamps, None) is None:
            raise KeyError("unforeseen")
        stamp(self, body)

    monkeypatch.setattr(RtmonReader, "_stamp", fail_later)
    with routenotify.replay(large, capacity=64) as monitor:
        assert many(3000) == [monitor.get(10) for _ in range(3000)]
        with pytest.raises(routenotify.RecordingError, match="unforeseen") as caught:
            monitor.get(10)

    assert 0 < caught.value.offset < large.stat().st_size


def test_a_fault_of_the_feeder_ends_the_replay_too(large, monkeypatch):
    """As want of memory may: it is raised where somebody waits."""

    def fail(_):
        raise MemoryError

    with routenotify.replay(large, capacity=64) as monitor:
        monkeypatch.setattr(_Feeder, "_gather", fail)
        with pytest.raises(MemoryError):
            list(monitor)

        assert 64 < monitor.stats.delivered < 5000


def test_speed_keeps_the_recorded_distances(tmp_path):
    """Nothing comes before its time; ten times as fast is a tenth of it."""
    times = [1_000_000_000 + n * 200_000_000 for n in range(4)]
    path = make(tmp_path / "r", [rows.change(time_ns=time) for time in times])
    start = time.monotonic()
    with routenotify.replay(path, speed=10) as monitor:
        late = [time.monotonic() - start for _ in monitor]

    assert 4 == len(late)
    for number, seconds in enumerate(late):
        assert seconds >= number * 0.02 - 0.001


def spaced(*starts):
    """Three changes 20 ms apart after each of some seconds."""
    times = [start * 10**9 + n * 20_000_000 for start in starts for n in range(3)]
    return [rows.change(time_ns=10**18 + time) for time in times]


def test_a_recorded_burst_is_one_batch(tmp_path):
    """As a live one is: recorded long ago, every change was taken for the last."""
    path = make(tmp_path / "r", spaced(0, 1))
    with routenotify.replay(path, speed=1) as monitor:
        assert [6] == [len(batch) for batch in monitor.batches(debounce=60)]


def test_a_recorded_pause_ends_a_batch(tmp_path):
    """Without the change after it, which is an hour off."""
    path = make(tmp_path / "r", spaced(0, 3600))
    with routenotify.replay(path, speed=1) as monitor:
        assert 3 == len(next(monitor.batches(debounce=1)))


def test_close_ends_a_wait_of_the_feeder_and_of_the_consumer(tmp_path):
    """A replay that would take an hour is closed at once, from another thread."""
    path = make(tmp_path / "r", [rows.change(time_ns=n * 10**13) for n in (1, 2)])
    before = threading.active_count()
    monitor = routenotify.replay(path, speed=1)
    monitor.get(30)
    closer = threading.Thread(target=monitor.close)
    closer.start()
    with pytest.raises(routenotify.MonitorClosed):
        monitor.get(60)
    closer.join(10)
    monitor.close()

    assert monitor.closed
    assert before == threading.active_count()


def test_a_forgotten_replay_ends_with_a_warning(large):
    """And its thread with it: the feeder does not keep it alive."""
    before = threading.active_count()
    monitor = routenotify.replay(large, capacity=64)
    assert before + 1 == threading.active_count()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del monitor
        gc.collect()
        end = time.monotonic() + 10
        while threading.active_count() > before and time.monotonic() < end:
            gc.collect()

    assert before == threading.active_count()
    assert ["unclosed <Replay"] == [str(w.message)[:16] for w in caught]


@LINUX
def test_a_forked_child_cannot_disturb_it(large):
    """The child's copy is closed; the parent goes on to the end."""
    with routenotify.replay(large, capacity=64) as monitor:
        monitor.get()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fork with a thread
            child = os.fork()
        if child == 0:
            try:
                monitor.get()
            except routenotify.MonitorClosed:
                os._exit(7)
            os._exit(1)
        _, status = os.waitpid(child, 0)

        assert 7 == os.waitstatus_to_exitcode(status)
        assert 4999 == len(list(monitor))


@pytest.fixture
def pipe():
    """The descriptor that a pipe is read from, and the file to write into."""
    reads, writes = os.pipe()
    with open(writes, "wb", buffering=0) as file:
        yield reads, file
    os.close(reads)  # a replay leaves it open


@pytest.mark.parametrize("kind", ["rtmon", "json"])
@pytest.mark.parametrize("by_name", [False, pytest.param(True, marks=LINUX)])
def test_what_is_in_a_pipe_is_delivered_at_once(pipe, kind, by_name):
    """It waited for a thousand changes, or the pipe's end, and so did replay()."""
    reads, file = pipe
    changes = many(5)
    file.write(recorded(changes[:3], kind))
    with routenotify.replay(f"/dev/fd/{reads}" if by_name else reads) as monitor:
        assert changes[:3] == [monitor.get(10) for _ in range(3)]
        assert not monitor.closed
        file.write(recorded(changes[3:], kind))
        assert changes[3:] == [monitor.get(10) for _ in range(2)]
        file.close()
        with pytest.raises(routenotify.MonitorClosed):
            monitor.get(10)
        assert 0 == monitor.size


def test_a_pipe_cannot_be_read_twice(pipe):
    """So there is neither a snapshot nor a look for an interface's number."""
    reads, file = pipe
    file.write(recorded(many(1)))
    with pytest.raises(routenotify.NotSupported, match="RouteFilter: "):
        routenotify.replay(reads, filter=routenotify.RouteFilter(interfaces="eth0"))
    file.write(recorded(many(1)))
    with (
        routenotify.replay(reads) as monitor,
        pytest.raises(routenotify.NotSupported, match=f"/dev/fd/{reads}' cannot be"),
    ):
        monitor.snapshot()


def test_a_closed_replay_has_no_snapshot(small):
    """Nor has a closed monitor; one that has come to its end still has."""
    with routenotify.replay(small) as monitor:
        assert 100 == len(list(monitor))
        assert 100 == len(monitor.snapshot())
    with pytest.raises(routenotify.MonitorClosed):
        monitor.snapshot()


@pytest.mark.parametrize(
    ("wrong", "error", "why"),
    [
        ({"path": None}, TypeError, r"replay\(path=None\): a path or a descriptor"),
        ({"path": True}, TypeError, r"replay\(path=True\): a path"),
        ({"capacity": 0}, routenotify.InvalidParameter, "replay: capacity=0 is not"),
        ({"capacity": None}, TypeError, r"replay\(capacity=None\): an int"),
        ({"family": 7}, routenotify.InvalidParameter, "replay: family=7 is none"),
        ({"filter": 7}, TypeError, r"replay\(filter=7\): RouteFilter or None"),
    ],
)
def test_a_wrong_argument_is_named_with_the_call_that_was_made(
    small, wrong, error, why
):
    """RouteMonitor and NotifyRouteChange2, which nobody called, were named."""
    with pytest.raises(error, match=f"^{why}"):
        routenotify.replay(**{"path": small} | wrong)


@pytest.mark.parametrize("speed", [0, -1, float("nan"), float("inf")])
def test_a_wrong_speed_is_refused(small, speed):
    """The message says which argument and why."""
    with pytest.raises(routenotify.InvalidParameter, match="speed="):
        routenotify.replay(small, speed=speed)
    with pytest.raises(TypeError, match="speed='fast'"):
        routenotify.replay(small, speed="fast")


def test_a_missing_file_is_an_ordinary_error(tmp_path):
    """As open() says it."""
    with pytest.raises(FileNotFoundError):
        routenotify.replay(tmp_path / "none")


def test_what_is_no_record_cannot_be_fed(small):
    """Bytes from a file never become a row unchecked."""
    with routenotify.replay(small, speed=1) as monitor:
        with pytest.raises(ValueError, match="no record"):
            monitor._feed(b"\xff" * 128)
        with pytest.raises(TypeError):
            monitor._feed("text")


def test_a_filter_decides_as_it_does_in_a_monitor(tmp_path):
    """Names of interfaces are the recording's; what ceases to match is deleted."""
    path = tmp_path / "r.jsonl"
    path.write_text(
        '{"type": "ADD", "destination": "10.0.0.0/8", "table": 254, "protocol": 4, '
        '"interface": "wan7", "interface_index": 7}\n'
        '{"type": "ADD", "destination": "10.0.0.0/8", "table": 254, "protocol": 4, '
        '"interface": "lan8", "interface_index": 8}\n'
        '{"type": "PARAMETER", "destination": "10.0.0.0/8", "table": 254, '
        '"protocol": 3, "interface_index": 7}\n'
    )
    wan = routenotify.RouteFilter(interfaces="wan7")
    static = wan & routenotify.RouteFilter(protocols=4)
    with routenotify.replay(path, filter=wan) as monitor:
        assert wan is monitor.filter
        assert ["ADD", "PARAMETER"] == [change.type.name for change in monitor]
        assert 1 == len(monitor.snapshot())
    with routenotify.replay(path, filter=static) as monitor:
        changes = list(monitor)
    with pytest.raises(routenotify.InvalidParameter, match="'eth0' does not exist in"):
        routenotify.replay(path, filter=routenotify.RouteFilter(interfaces="eth0"))

    assert ["ADD", "DELETE"] == [change.type.name for change in changes]
    assert "filter" == changes[1].cause
