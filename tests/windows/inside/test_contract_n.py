"""N1 to N11 of the native contract, each by name, on Windows."""

from __future__ import annotations

import ctypes
import socket
import sys
import threading

import pytest
from doublelab import (
    ADD,
    DELETE,
    NO_TEXT,
    PARAMETER,
    Api,
    Double,
    Mode,
    check_error,
    row,
    wait_until,
)

import routenotify
from routenotify import netioapi

FAMILIES = [socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6]


def test_n1_the_real_function_is_called_with_its_arguments(double: Double) -> None:
    """NotifyRouteChange2 registers with the system; the context comes back."""
    calls: list[tuple[object, ...]] = []
    opened = double.stats.opened
    handle = netioapi.NotifyRouteChange2(
        socket.AF_INET, lambda *a: calls.append(a), "context", True
    )
    double.change(row("10.1.0.0/16", "192.0.2.1"), ADD)
    wait_until(lambda: len(calls) == 2)
    netioapi.CancelMibChangeNotify2(handle)

    assert double.stats.opened == opened + 1
    assert double.stats.live == 0
    assert calls[0] == ("context", None, netioapi.MibInitialNotification)
    assert calls[1][0] == "context"
    assert calls[1][2] == netioapi.MibAddInstance


@pytest.mark.parametrize("family", FAMILIES)
def test_n2_families(double: Double, family: int) -> None:
    """AF_INET6 is 23 here, and each family gets its own rows."""
    with routenotify.RouteMonitor(family) as monitor:
        double.fire(3, family=2)
        double.fire(2, family=23)
        got = [change.family for change in monitor.drain()]

    wanted = [socket.AF_INET] * 3 + [socket.AF_INET6] * 2
    assert got == [f for f in wanted if family in (socket.AF_UNSPEC, f)]


@pytest.mark.parametrize("family", [1, 10, 24, -1, 65536 + 2, 2**40])
def test_n2_any_other_family_is_87_before_the_call(double: Double, family: int) -> None:
    """Refused here: the system is not even asked."""
    double.inject(Api.NOTIFY, 1450)
    with pytest.raises(routenotify.InvalidParameter) as caught:
        routenotify.RouteMonitor(family)

    assert caught.value.code == 87
    assert isinstance(caught.value, ValueError)
    assert double.stats.live == 0


@pytest.mark.parametrize(
    "mode",
    [
        Mode.NORMAL,
        Mode.INITIAL_WORKER,
        Mode.INITIAL_LATE,
        Mode.EARLY,
        Mode.EARLY | Mode.INITIAL_WORKER,
        Mode.EARLY | Mode.INITIAL_LATE,
        Mode.FRESH_THREAD,
    ],
)
def test_n3_one_initial_notification_before_any_change(
    double: Double, mode: Mode
) -> None:
    """Whatever thread the system takes, and whatever it does first."""
    double.mode(mode)
    initial = double.stats.initial
    with routenotify.RouteMonitor(initial_notification=True) as monitor:
        first = monitor.get(10)
        wait_until(lambda: double.stats.initial == initial + 1)
        double.fire(2)
        wait_until(lambda: monitor.stats.received >= 3 + bool(mode & Mode.EARLY))
        rest = monitor.drain()

    assert first.type is routenotify.ChangeType.INITIAL
    assert first.destination is None
    assert [c.type.name for c in rest] == ["ADD"] * (2 + bool(mode & Mode.EARLY))


def test_n3_no_initial_notification_unless_asked(double: Double) -> None:
    """Default: changes only."""
    with routenotify.RouteMonitor() as monitor:
        double.fire(1)

        assert [c.type.name for c in monitor.drain()] == ["ADD"]


def test_n4_no_handle_on_error_and_none_left_open(double: Double) -> None:
    """An error leaves nothing registered."""
    double.inject(Api.NOTIFY, 8)
    with pytest.raises(routenotify.NotEnoughMemory):
        netioapi.NotifyRouteChange2(socket.AF_INET, print)

    assert double.stats.live == 0


def test_n4_success_without_a_handle_is_not_supported(double: Double) -> None:
    """Wine's stub does that; get() would wait for ever."""
    double.mode(Mode.NULL_HANDLE)
    with pytest.raises(routenotify.NotSupported) as caught:
        routenotify.RouteMonitor()

    assert caught.value.code == 50
    assert "no handle" in str(caught.value)


KINDS = {
    2: OSError,
    5: PermissionError,
    6: OSError,
    8: MemoryError,
    50: NotImplementedError,
    87: ValueError,
    1168: LookupError,
    1450: OSError,
    5010: OSError,
}


@pytest.mark.parametrize("code", sorted(KINDS))
def test_n5_every_code_of_the_registration_arrives(double: Double, code: int) -> None:
    """With its number, FormatMessage's text, and the call's name."""
    double.inject(Api.NOTIFY, code)
    with pytest.raises(KINDS[code]) as caught:
        routenotify.RouteMonitor()
    error = caught.value

    assert isinstance(error, routenotify.RouteNotifyError)
    check_error(error, code, "NotifyRouteChange2")
    routenotify.RouteMonitor().close()


def test_n5_there_are_texts() -> None:
    """What the others compare with: FormatMessage knows most of these numbers."""
    texts = [ctypes.FormatError(code).strip() for code in KINDS]

    assert sum(text not in ("", NO_TEXT) for text in texts) > len(KINDS) / 2, texts


def test_n6_callbacks_of_one_registration_are_serialised(double: Double) -> None:
    """Even when the system's own calls overlap, as they do in the field."""
    double.mode(Mode.OVERLAP)
    running: list[int] = []
    most = 0
    count = 0

    def callback(*_: object) -> None:
        nonlocal most, count
        running.append(1)
        most = max(most, len(running))
        count += 1
        running.pop()

    handle = netioapi.NotifyRouteChange2(socket.AF_INET, callback)
    for thread in range(4):
        double.fire_async(2000, first=thread * 2000)
    double.join()
    wait_until(lambda: count == 8000)
    netioapi.CancelMibChangeNotify2(handle)

    assert most == 1


def test_n6_overlapping_calls_lose_nothing_and_are_counted(double: Double) -> None:
    """Two producers at once: every row arrives, once, whole."""
    double.mode(Mode.OVERLAP)
    before = double.stats.overlaps
    with routenotify.RouteMonitor(capacity=1 << 19) as monitor:
        for thread in range(3):
            double.fire_async(100_000, first=thread * 100_000)
        double.join()
        stats = monitor.stats
        changes = monitor.drain()

    assert stats.received == 300_000
    assert stats.conflated == 0
    assert len({c.key for c in changes}) == 300_000
    assert [c.sequence for c in changes] == list(range(1, 300_001))
    made = double.stats.overlaps - before
    print(f"overlapping calls: {made}, of which met in the lock: {stats.overlaps}")
    assert made > 0, "the double did not overlap: nothing was tested"


@pytest.mark.parametrize(
    ("kind", "name"), [(PARAMETER, "PARAMETER"), (ADD, "ADD"), (DELETE, "DELETE")]
)
def test_n7_notification_types(double: Double, kind: int, name: str) -> None:
    """0 changed, 1 added, 2 deleted; 3 is the initial one (N3)."""
    with routenotify.RouteMonitor() as monitor:
        double.tell(row("10.0.0.0/8"), kind)
        change = monitor.get(30)

    assert change.type == kind
    assert change.type.name == name
    assert netioapi.MIB_NOTIFICATION_TYPE.MibInitialNotification == 3


def test_n7_a_type_that_does_not_exist_is_counted_not_delivered(
    double: Double,
) -> None:
    """So that a newer Windows cannot confuse a replay."""
    with routenotify.RouteMonitor() as monitor:
        double.tell(row("10.0.0.0/8"), 4)
        double.tell(row("10.0.0.0/8"), 300)

        assert monitor.drain() == []
        assert monitor.stats.malformed == 2


def test_n8_the_row_is_partial_until_completed(double: Double) -> None:
    """Key and interface from the event; the rest from GetIpForwardEntry2."""
    route = row("10.2.0.0/16", "192.0.2.9", Metric=77, Protocol=10006, Origin=2)
    with routenotify.RouteMonitor() as monitor:
        double.change(route, ADD)
        change = monitor.get(30)
        whole = change.complete()

        assert str(change.destination) == "10.2.0.0/16"
        assert str(change.next_hop) == "192.0.2.9"
        assert change.interface_luid == route.InterfaceLuid
        assert change.interface_index == route.InterfaceIndex
        assert change.metric is None
        assert change.protocol is None
        assert change.interface == "Ethernet 2"
        assert (whole.metric, whole.protocol, whole.origin) == (77, 10006, 2)
        assert whole.key == change.key
        double.change(route, DELETE)
        with pytest.raises(routenotify.RouteNotFound) as caught:
            change.complete()
        assert caught.value.code == 1168


@pytest.mark.parametrize("mode", [Mode.NORMAL, Mode.PAGES, Mode.FRESH_THREAD])
def test_n9_the_row_is_copied_inside_the_call(double: Double, mode: Mode) -> None:
    """Its memory is poisoned, or gone, when the call is over."""
    double.mode(mode)
    with routenotify.RouteMonitor() as monitor:
        double.fire(400, kind=-1)
        double.fire(400, family=23, kind=-1)
        texts = [str(c.destination) for c in monitor.drain()]

    assert texts[:2] == ["10.0.0.0/32", "10.0.0.1/32"]
    assert texts[-1] == "fd00::18f/128"
    assert len(set(texts)) == 800


def test_n10_exit_cancels_what_is_open(double: Double) -> None:
    """See test_storm.py for whole interpreters; here: the last reference."""
    monitor = routenotify.RouteMonitor()
    assert double.stats.live == 1
    with pytest.warns(ResourceWarning, match="unclosed"):
        del monitor

    assert double.stats.live == 0


def test_n11_cancel_waits_and_nothing_comes_after_it(double: Double) -> None:
    """During a storm, from a thread that is not the callback's."""
    calls = 0

    def callback(*_: object) -> None:
        nonlocal calls
        calls += 1

    double.fire_async(2_000_000)
    handle = netioapi.NotifyRouteChange2(socket.AF_UNSPEC, callback)
    wait_until(lambda: calls > 100)
    netioapi.CancelMibChangeNotify2(handle)
    stood = calls
    double.fire(1000)
    double.join(stop=True)

    assert calls == stood
    assert double.stats.live == 0


def test_n11_cancel_inside_the_callback_means_none_after_this_one(
    double: Double,
) -> None:
    """Where Windows itself would deadlock."""
    done = threading.Event()
    calls = 0

    def callback(*_: object) -> None:
        nonlocal calls
        calls += 1
        netioapi.CancelMibChangeNotify2(handle)
        done.set()

    handle = netioapi.NotifyRouteChange2(socket.AF_UNSPEC, callback)
    double.fire(1000)

    assert done.wait(20)
    double.fire(1000)
    handle._thread.join(20)

    assert not handle._thread.is_alive()
    assert calls == 1
    assert double.stats.live == 0


def test_n11_cancel_while_python_is_busy(double: Double) -> None:
    """The native callback waits for no GIL, so the cancel ends at once."""
    stop = False

    def spin() -> None:
        while not stop:
            pass

    thread = threading.Thread(target=spin)
    thread.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.0001)
    try:
        double.fire_async(1 << 30)
        for _ in range(20):
            monitor = routenotify.RouteMonitor(capacity=64)
            monitor.get(30)
            monitor.close()
    finally:
        stop = True
        sys.setswitchinterval(interval)
        thread.join()
        double.join(stop=True)

    assert double.stats.live == 0
