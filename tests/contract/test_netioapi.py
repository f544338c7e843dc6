"""N1 to N11 of the native contract, each by name."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import subprocess
import sys
import threading

import pytest
import rnlab

import routenotify
from routenotify import netioapi
from routenotify.netioapi import (
    MIB_NOTIFICATION_TYPE,
    CancelMibChangeNotify2,
    MibAddInstance,
    MibDeleteInstance,
    MibInitialNotification,
    MibParameterNotification,
    NotifyRouteChange2,
)

NET = "198.51.100.0/24"


@pytest.fixture
def notify():
    """NotifyRouteChange2, cancelled when the test is over if it is not yet."""
    handles = []

    def register(*arguments):
        handles.append(NotifyRouteChange2(*arguments))
        return handles[-1]

    yield register
    for handle in handles:
        with contextlib.suppress(routenotify.RouteNotifyError):
            CancelMibChangeNotify2(handle)


def kinds(calls):
    """The notification types of a record."""
    return [kind for _, _, kind in calls]


def test_n1_arguments_are_microsofts(system, record, notify):
    """All four by position, in Microsoft's order; the context comes back."""
    context = object()
    handle = notify(socket.AF_INET, record, context, False)
    system.add(NET)
    (got_context, row, kind), *_ = record.wait(1)
    CancelMibChangeNotify2(handle)

    assert context is got_context
    assert MibAddInstance == kind
    assert ipaddress.ip_network(NET) == row.DestinationPrefix


@pytest.mark.parametrize("family", [1, 3, 99, -1, 2**70, "inet", None, 2.0, True])
def test_n2_other_families_are_invalid_parameters(family, record):
    """87, a ValueError, and the message names the argument and its value."""
    with pytest.raises(routenotify.InvalidParameter) as caught:
        NotifyRouteChange2(family, record)

    assert 87 == caught.value.code
    assert "NotifyRouteChange2" == caught.value.call
    assert isinstance(caught.value, ValueError)
    assert f"AddressFamily={family!r}" in str(caught.value)


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (socket.AF_INET, {4}),
        (socket.AF_INET6, {6}),
        (socket.AF_UNSPEC, {4, 6}),
    ],
)
def test_n2_a_family_is_notified_of_its_own_rows(
    system, record, family, expected, notify
):
    """AF_UNSPEC means both."""
    handle = notify(family, record)
    system.add("2001:db8:1::/48")
    system.add(NET)
    calls = record.wait(len(expected))
    CancelMibChangeNotify2(handle)

    assert expected == {row.DestinationPrefix.version for _, row, _ in calls}
    assert len(expected) == len(record.calls)


def test_n3_initial_notification_comes_first_with_no_row(system, record, notify):
    """One call with Row None, before any change."""
    handle = notify(socket.AF_UNSPEC, record, "ctx", True)
    system.add(NET)
    calls = record.wait(2)
    CancelMibChangeNotify2(handle)

    assert ("ctx", None, MibInitialNotification) == calls[0]
    assert [MibInitialNotification, MibAddInstance] == kinds(calls)


def test_n3_no_initial_notification_unless_asked(system, record, notify):
    """The default is FALSE."""
    handle = notify(socket.AF_UNSPEC, record)
    system.add(NET)
    calls = record.wait(1)
    CancelMibChangeNotify2(handle)

    assert [MibAddInstance] == kinds(calls)


@pytest.mark.kernel
def test_n4_a_handle_on_success(record, notify):
    """And it says what it is."""
    handle = notify(socket.AF_UNSPEC, record)
    assert isinstance(handle, netioapi.NotificationHandle)
    assert "open" in repr(handle)
    CancelMibChangeNotify2(handle)

    assert "cancelled" in repr(handle)


@pytest.mark.parametrize("callback", [None, 3, "call me"])
def test_n4_no_registration_stays_after_an_error(callback):
    """A callback that cannot be called is refused before anything is open."""
    before = threading.active_count()

    with pytest.raises(routenotify.InvalidParameter, match="Callback="):
        NotifyRouteChange2(socket.AF_UNSPEC, callback)

    assert before == threading.active_count()


def test_n5_error_numbers_and_their_texts():
    """The numbers are Win32's on every platform."""
    numbers = {
        netioapi.NO_ERROR: 0,
        netioapi.ERROR_FILE_NOT_FOUND: 2,
        netioapi.ERROR_ACCESS_DENIED: 5,
        netioapi.ERROR_INVALID_HANDLE: 6,
        netioapi.ERROR_NOT_ENOUGH_MEMORY: 8,
        netioapi.ERROR_NOT_SUPPORTED: 50,
        netioapi.ERROR_INVALID_PARAMETER: 87,
        netioapi.ERROR_NOT_FOUND: 1168,
    }

    assert all(name == number for name, number in numbers.items())
    assert 8 == len(numbers)


def test_n6_callbacks_of_a_registration_are_serialised(system, notify):
    """One at a time, in order, on one thread, however slow they are."""
    inside = threading.Lock()
    overlaps = 0
    seen: list[str] = []
    threads = set()
    done = threading.Event()
    wanted = [f"198.51.{i}.0/24" for i in range(100)]

    def callback(_context, row, _kind):
        nonlocal overlaps
        if not inside.acquire(blocking=False):
            overlaps += 1
            return
        threads.add(threading.get_ident())
        seen.append(str(row.DestinationPrefix))
        if len(seen) == len(wanted):
            done.set()
        inside.release()

    handle = notify(socket.AF_INET, callback)
    system.add_many(wanted)
    assert done.wait(10)
    CancelMibChangeNotify2(handle)

    assert 0 == overlaps
    assert wanted == seen
    assert 1 == len(threads)


def test_n7_notification_types_have_microsofts_numbers():
    """MIB_NOTIFICATION_TYPE."""
    expected = {
        "MibParameterNotification": 0,
        "MibAddInstance": 1,
        "MibDeleteInstance": 2,
        "MibInitialNotification": 3,
    }

    assert expected == {kind.name: kind.value for kind in MIB_NOTIFICATION_TYPE}


def test_n7_add_change_and_delete_are_told_apart(system, record, notify):
    """Each with its own type."""
    handle = notify(socket.AF_INET, record)
    system.add(NET)
    system.change(NET)
    system.remove(NET)
    calls = record.wait(3)
    CancelMibChangeNotify2(handle)

    expected = [MibAddInstance, MibParameterNotification, MibDeleteInstance]
    assert expected == kinds(calls)
    assert {NET} == {str(row.DestinationPrefix) for _, row, _ in calls}


def test_n8_the_row_is_partial_until_it_is_completed(system, record, notify):
    """Four members; GetIpForwardEntry2 has the others."""
    handle = notify(socket.AF_INET, record)
    system.add(NET, via="192.0.2.9")
    ((_, row, _),) = record.wait(1)
    CancelMibChangeNotify2(handle)

    assert ipaddress.ip_network(NET) == row.DestinationPrefix
    assert ipaddress.ip_address("192.0.2.9") == row.NextHop
    assert system.interface_index == row.InterfaceIndex
    assert row.Metric is None
    assert row.Protocol is None

    whole = netioapi.GetIpForwardEntry2(row)
    assert row.DestinationPrefix == whole.DestinationPrefix
    assert row.NextHop == whole.NextHop
    assert row.InterfaceIndex == whole.InterfaceIndex
    assert 0 == whole.Metric
    assert isinstance(whole.Protocol, int)


def test_n8_an_on_link_route_has_the_unspecified_next_hop(system, record, notify):
    """0.0.0.0, as in Microsoft's rows."""
    handle = notify(socket.AF_INET, record)
    system.add(NET)
    ((_, row, _),) = record.wait(1)
    CancelMibChangeNotify2(handle)

    assert ipaddress.ip_address("0.0.0.0") == row.NextHop


def test_n8_a_row_that_is_gone_cannot_be_completed(system, record, notify):
    """1168, a LookupError."""
    handle = notify(socket.AF_INET, record)
    system.add(NET)
    system.remove(NET)
    (_, row, _), _ = record.wait(2)
    CancelMibChangeNotify2(handle)

    with pytest.raises(routenotify.RouteNotFound) as caught:
        netioapi.GetIpForwardEntry2(row)
    assert 1168 == caught.value.code
    assert isinstance(caught.value, LookupError)


def test_n8_a_row_made_by_hand_can_be_completed(system):
    """DestinationPrefix, NextHop and an interface are the question."""
    system.add(NET, via="192.0.2.9")
    question = netioapi.MIB_IPFORWARD_ROW2(
        ipaddress.ip_network(NET),
        ipaddress.ip_address("192.0.2.9"),
        InterfaceIndex=system.interface_index,
    )

    answer = netioapi.GetIpForwardEntry2(question)

    assert question.DestinationPrefix == answer.DestinationPrefix
    assert question.NextHop == answer.NextHop
    assert isinstance(answer.Protocol, int)


def test_n8_a_changed_row_asks_for_what_it_says_now(system):
    """Not for the row it was made of."""
    system.add(NET)
    system.add("203.0.113.0/24")
    row = next(
        row
        for row in netioapi.GetIpForwardTable2(socket.AF_INET)
        if str(row.DestinationPrefix) == NET
    )
    row.DestinationPrefix = ipaddress.ip_network("203.0.113.0/24")

    answer = netioapi.GetIpForwardEntry2(row)

    assert "203.0.113.0/24" == str(answer.DestinationPrefix)


def test_n9_a_kept_row_stays_as_it_was(system, record, notify):
    """The callback gets a copy: the next change does not write over it."""
    handle = notify(socket.AF_INET, record)
    wanted = [f"198.51.{i}.0/24" for i in range(50)]
    system.add_many(wanted)
    calls = record.wait(50)
    CancelMibChangeNotify2(handle)

    assert wanted == [str(row.DestinationPrefix) for _, row, _ in calls]


def test_n10_notifications_go_on_until_cancelled(system, record, notify):
    """And no longer."""
    handle = notify(socket.AF_INET, record)
    for i in range(5):
        system.add(f"198.51.{i}.0/24")
        record.wait(i + 1)
    CancelMibChangeNotify2(handle)
    system.add("203.0.113.0/24")
    # Another registration tells that the system has announced it by now.
    after = routenotify.RouteMonitor(snapshot=True)
    while (change := after.get(30)).to_dict()["destination"] != "203.0.113.0/24":
        pass
    after.close()

    assert 5 == len(record.calls), change


@pytest.mark.kernel
def test_n10_open_handles_do_not_keep_the_interpreter():
    """They are cancelled at its exit."""
    code = (
        "import socket\n"
        "from routenotify.netioapi import NotifyRouteChange2\n"
        "for _ in range(5):\n"
        "    NotifyRouteChange2(socket.AF_UNSPEC, print, None, False)\n"
        "print('end')\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert (0, "end\n", "") == (done.returncode, done.stdout, done.stderr)


def test_n11_cancel_waits_for_the_callback_in_flight(system, notify):
    """When it returns, the callback has returned."""
    entered = threading.Event()
    leave = threading.Event()
    left = threading.Event()
    cancelled = threading.Event()

    def callback(*_args):
        entered.set()
        assert leave.wait(10)
        left.set()

    handle = notify(socket.AF_INET, callback)
    system.add(NET)
    assert entered.wait(10)

    def cancel():
        CancelMibChangeNotify2(handle)
        assert left.is_set()
        cancelled.set()

    thread = threading.Thread(target=cancel)
    thread.start()
    assert not cancelled.wait(0.2)
    leave.set()
    thread.join(10)

    assert cancelled.is_set()


def test_n11_cancel_inside_the_callback_means_none_after_this_one(system, notify):
    """It does not deadlock, though more changes are queued."""
    handles = []
    calls = []
    ready = threading.Event()
    done = threading.Event()

    def callback(_context, row, _kind):
        assert ready.wait(10)
        calls.append(row)
        CancelMibChangeNotify2(handles[0])
        done.set()

    handles.append(notify(socket.AF_INET, callback))
    system.add_many([f"198.51.{i}.0/24" for i in range(20)])
    ready.set()
    assert done.wait(10)
    handles[0]._thread.join(10)

    assert not handles[0]._thread.is_alive()
    assert 1 == len(calls)


@pytest.mark.parametrize("count", [2, 5])
def test_n11_callbacks_that_cancel_one_another_in_a_circle_end(system, notify, count):
    """One of them does not wait; it was a deadlock."""
    handles = []
    all_inside = threading.Barrier(count)
    ended = [threading.Event() for _ in range(count)]

    def callback(me, _row, _kind):
        all_inside.wait(10)
        CancelMibChangeNotify2(handles[(me + 1) % count])
        ended[me].set()

    handles.extend(notify(socket.AF_INET, callback, me) for me in range(count))
    system.add(NET)

    assert [True] * count == [event.wait(10) for event in ended]


def test_n11_cancel_inside_a_callback_waits_for_another_ones(system, notify):
    """For the callback in flight of the registration that it ends."""
    inside = threading.Barrier(2)
    leave = threading.Event()
    left = threading.Event()
    cancelled = threading.Event()

    def slow(*_args):
        inside.wait(10)
        assert leave.wait(10)
        left.set()

    def cancel(*_args):
        inside.wait(10)
        CancelMibChangeNotify2(other)
        if left.is_set():
            cancelled.set()

    other = notify(socket.AF_INET, slow)
    notify(socket.AF_INET, cancel)
    system.add(NET)
    rnlab.wait_for(lambda: "cancelled" in repr(other), what="the cancel to begin")
    assert not cancelled.is_set()
    leave.set()

    assert cancelled.wait(10)


def test_n11_a_handle_cancelled_twice_is_an_invalid_handle(system, record, notify):
    """6, and the message says what is wrong with it."""
    handle = notify(socket.AF_UNSPEC, record)
    CancelMibChangeNotify2(handle)

    with pytest.raises(
        routenotify.RouteNotifyError, match="cancelled before"
    ) as caught:
        CancelMibChangeNotify2(handle)
    assert 6 == caught.value.code
    assert "CancelMibChangeNotify2" == caught.value.call


@pytest.mark.parametrize("handle", [None, 0, 3, "handle", object()])
def test_n11_what_is_no_handle_is_an_invalid_parameter(handle):
    """87."""
    with pytest.raises(routenotify.InvalidParameter, match="NotificationHandle="):
        CancelMibChangeNotify2(handle)


def test_an_exception_in_a_callback_goes_to_the_unraisable_hook(
    system, monkeypatch, record, notify
):
    """And the registration lives on."""
    caught = []
    hooked = threading.Event()

    def hook(args):
        caught.append((args.exc_type, str(args.exc_value), args.object))
        hooked.set()

    monkeypatch.setattr(sys, "unraisablehook", hook)

    def callback(context, row, kind):
        record(context, row, kind)
        if len(record.calls) == 1:
            raise RuntimeError("on purpose")

    handle = notify(socket.AF_INET, callback)
    system.add(NET)
    assert hooked.wait(10)
    system.add("203.0.113.0/24")
    calls = record.wait(2)
    CancelMibChangeNotify2(handle)

    assert [(RuntimeError, "on purpose", callback)] == caught
    assert [MibAddInstance] * 2 == kinds(calls)


def test_the_table_has_every_route(system):
    """GetIpForwardTable2, whole rows."""
    system.add(NET, via="192.0.2.9")
    system.add("2001:db8:1::/48")

    rows = netioapi.GetIpForwardTable2(socket.AF_UNSPEC)
    by_prefix = {str(row.DestinationPrefix): row for row in rows}
    only4 = netioapi.GetIpForwardTable2(socket.AF_INET)

    assert ipaddress.ip_address("192.0.2.9") == by_prefix[NET].NextHop
    assert ipaddress.ip_address("::") == by_prefix["2001:db8:1::/48"].NextHop
    assert by_prefix[NET].Metric is not None
    assert {4} == {row.DestinationPrefix.version for row in only4}


def test_the_best_route_and_source(system):
    """GetBestRoute2."""
    system.add(NET, via="192.0.2.9")

    row, source = netioapi.GetBestRoute2("198.51.100.7")

    assert ipaddress.ip_address("192.0.2.9") == row.NextHop
    assert system.interface_index == row.InterfaceIndex
    assert ipaddress.ip_address(system.source) == source


@pytest.mark.parametrize("family", [1, "inet", None])
def test_the_table_refuses_other_families(family):
    """87, as NotifyRouteChange2."""
    with pytest.raises(routenotify.InvalidParameter, match="GetIpForwardTable2"):
        netioapi.GetIpForwardTable2(family)
