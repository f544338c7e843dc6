"""Snapshot, resync and replay: what was told is what the system has."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterable

import pytest
from doublelab import ADD, DELETE, PARAMETER, Double, Mode, row, wait_until

import routenotify
from routenotify import ChangeType, RouteChange

Keys = set[tuple[object, ...]]


def key(route: RouteChange | routenotify.Route) -> tuple[object, ...]:
    """A row's key without what a table's row has and a notification's lacks."""
    return (route.destination, route.next_hop, route.interface_luid)


def system() -> Keys:
    """The system's table now."""
    return {key(route) for route in routenotify.routes()}


def apply(table: Keys, changes: Iterable[RouteChange]) -> None:
    """Replay."""
    for change in changes:
        if change.type is ChangeType.RESYNC_BEGIN and change.cause == "memory":
            table.clear()
        elif change.type in (ChangeType.ADD, ChangeType.PARAMETER):
            table.add(key(change))
        elif change.type is ChangeType.DELETE:
            table.discard(key(change))


def test_snapshot_at_open(double: Double) -> None:
    """INITIAL, the table as ADD, SNAPSHOT_END, then changes."""
    double.set_table(row("0.0.0.0/0", "192.0.2.1"), row("fd00::/8"))
    with routenotify.RouteMonitor(
        initial_notification=True, snapshot=True, markers=True
    ) as monitor:
        double.change(row("10.0.0.0/8"), ADD)
        changes = monitor.drain()

    assert [c.type.name for c in changes] == [
        "INITIAL",
        "ADD",
        "ADD",
        "SNAPSHOT_END",
        "ADD",
    ]
    assert [c.cause for c in changes] == [
        "system",
        "snapshot",
        "snapshot",
        "snapshot",
        "system",
    ]


def test_snapshot_rows_and_notifications_have_one_key(double: Double) -> None:
    """A table tells metrics, a notification does not: none is in the key."""
    route = row("10.0.0.0/8", "192.0.2.1", Metric=42)
    double.set_table(route)
    with routenotify.RouteMonitor(snapshot=True) as monitor:
        double.change(route, DELETE)
        first, second = monitor.drain()

    assert first.key == second.key


def test_what_windows_does_not_say_is_none(double: Double) -> None:
    """Its rows have a metric and a protocol, but nothing that only Linux has."""
    unsaid = ("table", "route_type", "tos", "scope", "weight", "preference")
    for prefix in ("10.0.0.0/8", "fd00::/8"):
        double.set_table(row(prefix, Metric=42))

        (route,) = routenotify.routes()

        assert (route.metric, route.protocol) == (42, 3)
        told = route.to_dict()
        assert [getattr(route, name) for name in unsaid] == [None] * len(unsaid)
        assert [told[name] for name in unsaid] == [None] * len(unsaid)


def test_snapshot_names_its_place_in_the_stream(double: Double) -> None:
    """Later changes applied to it give the later table."""
    double.set_table(row("10.0.0.0/8"))
    with routenotify.RouteMonitor() as monitor:
        double.change(row("10.1.0.0/16"), ADD)
        snapshot = monitor.snapshot()
        double.change(row("10.2.0.0/16"), ADD)
        double.change(row("10.0.0.0/8"), DELETE)
        table = {key(route) for route in snapshot}
        apply(table, [c for c in monitor.drain() if c.sequence > snapshot.sequence])

    assert snapshot.sequence == 1
    assert {route.cause for route in snapshot} == {"snapshot"}
    assert len(snapshot) == 2
    assert table == system()


@pytest.mark.parametrize("how", ["open", "snapshot", "resync"])
@pytest.mark.parametrize("kind", [ADD, DELETE])
def test_a_change_while_the_table_is_read(double: Double, how: str, kind: int) -> None:
    """The notification is newer than the table, and wins."""
    kept = row("10.0.0.0/8")
    route = row("10.1.0.0/16")
    if kind == ADD:
        double.set_table(kept)
    else:
        double.set_table(kept, route)
    table: Keys = set()
    if how == "open":
        double.change_during_table(route, kind)
    with routenotify.RouteMonitor(snapshot=how != "snapshot") as monitor:
        apply(table, monitor.drain())
        since = 0
        if how != "open":
            double.change_during_table(route, kind)
        if how == "snapshot":
            snapshot = monitor.snapshot()
            table = {key(one) for one in snapshot}
            since = snapshot.sequence
        if how == "resync":
            monitor.resync()
        apply(table, [c for c in monitor.drain() if c.sequence > since])
        monitor.resync()
        again = monitor.drain()

    assert table == system()
    assert again == []


def test_resync_delivers_just_the_difference(double: Double) -> None:
    """What the system changed without a word, between the markers."""
    kept = row("10.0.0.0/8", Metric=1)
    gone = row("10.1.0.0/16")
    double.set_table(kept, gone, row("10.3.0.0/16"))
    with routenotify.RouteMonitor(snapshot=True, markers=True) as monitor:
        monitor.drain()
        double.change_silently(gone, DELETE)
        double.change_silently(row("10.2.0.0/16"), ADD)
        kept.Metric = 2
        double.change_silently(kept, PARAMETER)
        monitor.resync()
        changes = monitor.drain()
        monitor.resync()
        again = monitor.drain()
        stats = monitor.stats

    found = {(c.type.name, str(c.destination)) for c in changes[1:-1]}
    assert found == {
        ("PARAMETER", "10.0.0.0/8"),
        ("DELETE", "10.1.0.0/16"),
        ("ADD", "10.2.0.0/16"),
    }
    assert {c.cause for c in changes} == {"resync"}
    assert (changes[0].type, changes[-1].type) == (
        ChangeType.RESYNC_BEGIN,
        ChangeType.RESYNC_END,
    )
    assert len(again) == 2, "nothing differs any more"
    assert stats.resyncs == 2
    assert stats.synthesised == 3 + 3


@pytest.mark.parametrize("capacity", [2, 64])
def test_an_interface_that_is_given_another_index(
    double: Double, capacity: int
) -> None:
    """It is the same one, by its LUID: its routes are neither new nor gone."""
    routes = [row(f"10.{n}.0.0/16") for n in range(4)]
    again = [row(f"10.{n}.0.0/16", index=99) for n in range(4)]
    double.set_table(*routes)
    with routenotify.RouteMonitor(snapshot=True, capacity=capacity) as monitor:
        table = {change.key: change for change in monitor.drain()}
        double.set_table(*again)
        monitor.resync()
        assert monitor.drain() == []
        double.change(again[0], PARAMETER)
        for route in again:
            double.change(route, DELETE)
        for change in monitor.drain():
            if change.type is ChangeType.DELETE:
                assert change.interface_index == 99
                del table[change.key]

    assert table == {}


@pytest.mark.parametrize("family", [socket.AF_UNSPEC, socket.AF_INET6])
def test_a_table_without_routes_is_empty_not_an_error(
    double: Double, family: int
) -> None:
    """Windows calls it ERROR_NOT_FOUND, which opening, too, had failed with."""
    double.mode(Mode.NO_TABLE)
    last = row("fd00::/8")

    assert routenotify.routes(family) == []
    with routenotify.RouteMonitor(family, snapshot=True, markers=True) as monitor:
        assert [c.type.name for c in monitor.drain()] == ["SNAPSHOT_END"]
        assert len(monitor.snapshot()) == 0
        double.change(last, ADD)
        double.change_silently(last, DELETE)
        monitor.resync()

        assert [c.type.name for c in monitor.drain()] == [
            *("ADD", "RESYNC_BEGIN", "DELETE", "RESYNC_END"),
        ]
        assert len(monitor.snapshot()) == 0


def test_a_next_hop_looked_for_in_a_table_without_routes(double: Double) -> None:
    """It is gone: the question that takes no scope ends there."""
    double.mode(Mode.NO_TABLE)
    with routenotify.RouteMonitor() as monitor:
        double.tell(row("fd00::/64", "fe80::1"), ADD)

        with pytest.raises(routenotify.RouteNotFound):
            monitor.get(30).complete()


def test_resync_without_a_snapshot_tells_the_whole_table(double: Double) -> None:
    """There is nothing it could compare with."""
    double.set_table(row("10.0.0.0/8"), row("10.1.0.0/16"))
    with routenotify.RouteMonitor() as monitor:
        monitor.resync()

        assert {str(c.destination) for c in monitor.drain()} == {
            "10.0.0.0/8",
            "10.1.0.0/16",
        }


def test_a_row_told_twice_is_still_deleted(double: Double) -> None:
    """Its second ADD is queued when it goes; the first was taken long ago.

    The two cancelled each other, and the row stayed for ever.
    """
    route = row("10.9.0.0/16")
    double.set_table(*(row(f"10.{n}.0.0/16") for n in range(8)))
    with routenotify.RouteMonitor(capacity=2) as monitor:
        double.change(route, ADD)
        table: Keys = set()
        apply(table, monitor.drain())
        monitor.resync()
        double.change(route, DELETE)
        apply(table, monitor.drain())

    assert table == system()


@pytest.mark.parametrize("capacity", [2, 64, 16384])
@pytest.mark.parametrize("how", ["open", "call", "resync"])
def test_replay_equivalence_under_churn(
    double: Double, seed: int, capacity: int, how: str
) -> None:
    """Taken in the middle of a storm: snapshot + stream == the system's table."""
    rng = random.Random(seed)
    for round_ in range(4):
        double.set_table()
        double.churn_async(4000, seed=rng.randrange(1 << 30), spread=97)
        with routenotify.RouteMonitor(
            snapshot=how == "open", capacity=capacity, markers=True
        ) as monitor:
            table: Keys = set()
            since = 0
            if how == "call":
                taken = monitor.snapshot()
                table = {key(route) for route in taken}
                since = taken.sequence
            for _ in range(rng.randrange(8)):
                if how == "resync":
                    monitor.resync()
                apply(table, [c for c in monitor.drain() if c.sequence > since])
                time.sleep(rng.random() / 1000)
            double.join()
            if how == "resync":
                monitor.resync()
            apply(table, [c for c in monitor.drain() if c.sequence > since])
            stats = monitor.stats

            assert table == system(), f"round {round_}"
            assert stats.received == (
                stats.delivered + stats.filtered + stats.conflated + stats.queued
            )


def test_replay_survives_drift(double: Double, seed: int) -> None:
    """Notifications lost by the system itself (sleep): resync repairs."""
    rng = random.Random(seed)
    with routenotify.RouteMonitor(snapshot=True) as monitor:
        table: Keys = set()
        for _ in range(200):
            route = row(f"10.{rng.randrange(40)}.0.0/16")
            kind = rng.choice([ADD, DELETE, PARAMETER])
            if rng.random() < 0.5:
                double.change(route, kind)
            else:
                double.change_silently(route, kind)
            if rng.random() < 0.1:
                monitor.resync()
                apply(table, monitor.drain())

                assert table == system()


def test_large_table(double: Double) -> None:
    """Many times the chunk that is told at once."""
    routes = [row(f"10.{n >> 8}.{n & 255}.0/24", "192.0.2.1") for n in range(20_000)]
    double.set_table(*routes)
    with routenotify.RouteMonitor(snapshot=True, capacity=64) as monitor:
        assert len({key(c) for c in monitor.drain()}) == 20_000
        double.set_table(*routes[::2])
        monitor.resync()

        gone = monitor.drain()
        assert {c.type.name for c in gone} == {"DELETE"}
        assert len(gone) == 10_000
        assert len(monitor.snapshot()) == 10_000


def test_a_full_ring_conflates_by_route(double: Double) -> None:
    """Fired == delivered + merged, exactly, and the table is right."""
    with routenotify.RouteMonitor(capacity=2) as monitor:
        double.churn_async(50_000, seed=3, spread=16)
        double.join()
        called = monitor.stats.received
        table: Keys = set()
        changes = monitor.drain()
        apply(table, changes)
        stats = monitor.stats

    assert table == system()
    assert len(changes) <= 2 + 16
    assert called == stats.delivered + stats.conflated
    assert stats.high_water <= 2 + 16


def test_wait_handle_follows_the_queue(double: Double) -> None:
    """Signalled exactly while something is queued."""
    import ctypes

    wait = ctypes.windll.kernel32.WaitForSingleObject
    wait.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    with routenotify.RouteMonitor() as monitor:
        handle = monitor.wait_handle
        assert wait(handle, 0) == 258
        double.fire(2)
        assert wait(handle, 0) == 0
        monitor.poll()
        assert wait(handle, 0) == 0
        monitor.poll()
        assert wait(handle, 0) == 258
        double.fire_async(1, gap_us=20_000)
        assert wait(handle, 10_000) == 0
        wait_until(lambda: monitor.poll() is not None)
        with pytest.raises(routenotify.NotSupported):
            monitor.fileno()
