"""RouteMonitor: what it delivers, how it is asked, what it says of itself."""

from __future__ import annotations

import contextlib
import gc
import ipaddress
import os
import pickle
import select
import signal
import socket
import sys
import threading
import time
import warnings
import weakref
from pathlib import Path

import pytest
import rnlab

import routenotify
from routenotify import ChangeType, RouteMonitor

NET = "198.51.100.0/24"
OTHER = "203.0.113.0/24"


def readable(fd):
    """Whether a select() says so at this moment.

    By the number: selecting the monitor itself would call fileno() again, and
    that makes the descriptor right.
    """
    return bool(select.select([fd], [], [], 0)[0])


# ---- what a change says ----


def test_a_change_says_all_the_system_did(system, open_monitor):
    """Every attribute of the contract."""
    monitor = open_monitor()
    before = time.time_ns()
    system.add(NET, via="192.0.2.9")
    change = monitor.get(30)

    assert ChangeType.ADD is change.type
    assert ipaddress.ip_network(NET) == change.destination
    assert ipaddress.ip_address("192.0.2.9") == change.next_hop
    assert system.interface_index == change.interface_index
    assert system.interface == change.interface
    assert socket.AF_INET == change.family
    assert "system" == change.cause
    assert 1 == change.sequence
    assert 1 == change.merged
    assert before <= change.time_ns <= time.time_ns()
    assert change == pickle.loads(pickle.dumps(change))


@pytest.mark.skipif(sys.platform != "linux", reason="Windows says these on completion")
def test_on_linux_a_change_says_the_attributes_too(system, open_monitor):
    """Metric, protocol, table and the rest need no completion."""
    monitor = open_monitor()
    system.namespace.ip(
        f"route add {NET} via 192.0.2.9 metric 7 table 1000 proto bird "
        "mtu 1300 src 192.0.2.1 tos 0x10"
    )
    change = monitor.get(30)

    assert 7 == change.metric
    assert 1000 == change.table
    assert 12 == change.protocol
    assert 1300 == change.mtu
    assert 16 == change.tos
    assert 0 == change.scope
    assert 1 == change.weight
    assert ipaddress.ip_address("192.0.2.1") == change.preferred_source
    assert routenotify.RouteType.UNICAST is change.route_type
    assert change.interface_luid is None
    assert change.preference is None


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has these routes")
def test_a_blackhole_has_no_interface_and_no_next_hop(system, open_monitor):
    """None, not 0 or ""."""
    monitor = open_monitor()
    system.namespace.ip(f"route add blackhole {NET}")
    change = monitor.get(30)

    assert routenotify.RouteType.BLACKHOLE is change.route_type
    assert change.next_hop is None
    assert change.interface is None
    assert change.interface_index is None


def test_ipv6_changes_are_ipv6(system, open_monitor):
    """Networks, addresses, family."""
    monitor = open_monitor(socket.AF_INET6)
    system.add("2001:db8:1::/48", via="2001:db8:ffff::9")
    change = monitor.get(30)

    assert ipaddress.ip_network("2001:db8:1::/48") == change.destination
    assert ipaddress.ip_address("2001:db8:ffff::9") == change.next_hop
    assert socket.AF_INET6 == change.family


def test_complete_gives_the_whole_route_or_not_found(system, open_monitor):
    """GetIpForwardEntry2."""
    monitor = open_monitor()
    system.add(NET)
    change = monitor.get(30)
    route = change.complete()

    assert change.destination == route.destination
    assert change.interface_index == route.interface_index
    assert 0 == route.metric
    assert route.complete().destination == route.destination

    system.remove(NET)
    with pytest.raises(routenotify.RouteNotFound):
        change.complete()


def test_sequence_numbers_have_no_gaps(system, open_monitor):
    """1, 2, 3, ..."""
    monitor = open_monitor()
    system.add_many([f"198.51.{i}.0/24" for i in range(200)])
    got = [monitor.get(30).sequence for _ in range(200)]

    assert list(range(1, 201)) == got


# ---- taking them ----


def test_poll_gives_none_when_nothing_is_queued(system, open_monitor):
    """And the change when there is one."""
    monitor = open_monitor()

    assert monitor.poll() is None

    system.add(NET)
    change = rnlab.wait_for(monitor.poll)
    assert NET == str(change.destination)
    assert monitor.poll() is None


def test_get_waits_and_times_out_with_a_timeout_error(system, open_monitor):
    """Not before its time."""
    monitor = open_monitor()
    begin = time.monotonic()

    with pytest.raises(TimeoutError) as caught:
        monitor.get(0.05)
    # Two readings of a clock are up to a tick of it nearer than the times.
    assert (
        time.monotonic() - begin >= 0.05 - time.get_clock_info("monotonic").resolution
    )
    assert isinstance(caught.value, routenotify.RouteNotifyError)
    assert 1460 == caught.value.code
    assert "get" == caught.value.call

    with pytest.raises(routenotify.WaitTimeout):
        monitor.get(timeout=0)


def test_get_lets_other_threads_go_on(system, open_monitor):
    """The waiting thread holds nothing: this one makes the change."""
    monitor = open_monitor()
    got = []
    thread = threading.Thread(target=lambda: got.append(monitor.get(10)))
    thread.start()
    system.add(NET)
    thread.join(10)

    assert [NET] == [str(change.destination) for change in got]


def test_each_change_goes_to_one_of_many_waiters(system, open_monitor):
    """Every one exactly once."""
    monitor = open_monitor()
    got = []

    def consume():
        with contextlib.suppress(routenotify.MonitorClosed):
            while True:
                got.append(monitor.get())

    threads = [threading.Thread(target=consume) for _ in range(4)]
    for thread in threads:
        thread.start()
    system.add_many([f"198.51.{i}.0/24" for i in range(250)])
    rnlab.wait_for(lambda: len(got) >= 250)
    monitor.close()
    for thread in threads:
        thread.join(10)

    assert not any(thread.is_alive() for thread in threads)
    assert list(range(1, 251)) == sorted(change.sequence for change in got)


def test_drain_gives_what_is_queued_in_order(system, open_monitor):
    """At most max, then the rest, then nothing."""
    monitor = open_monitor()
    system.add_many([f"198.51.{i}.0/24" for i in range(10)])
    rnlab.wait_for(lambda: monitor.stats.queued == 10)

    assert [] == monitor.drain(0)
    assert [1, 2, 3] == [change.sequence for change in monitor.drain(3)]
    assert [4] == [change.sequence for change in monitor.drain(max=1)]
    assert [5, 6, 7, 8, 9, 10] == [change.sequence for change in monitor.drain()]
    assert [] == monitor.drain(None)


@pytest.mark.parametrize("capacity", [2, 3, 4, 64])
def test_drain_crosses_the_rings_wrap_and_the_spilled(system, open_monitor, capacity):
    """What did not fit in the queue comes after it, in one list."""
    monitor = open_monitor(socket.AF_INET, capacity=capacity)
    for start in range(0, 90, 30):
        wanted = [f"198.51.{i}.0/24" for i in range(start, start + 30)]
        system.add_many(wanted)
        rnlab.wait_for(lambda: monitor.stats.queued == 30)

        assert wanted == [str(change.destination) for change in monitor.drain()]


def test_iteration_ends_when_the_monitor_is_closed(system, open_monitor):
    """After what was queued."""
    monitor = open_monitor()
    system.add(NET)
    system.add(OTHER)
    rnlab.wait_for(lambda: monitor.stats.queued == 2)
    monitor.close()

    assert [NET, OTHER] == [str(change.destination) for change in monitor]
    assert [] == list(monitor)


def test_what_was_queued_can_be_taken_after_close(system, open_monitor):
    """By every means; then each says that it is over."""
    monitor = open_monitor()
    system.add_many([f"198.51.{i}.0/24" for i in range(4)])
    rnlab.wait_for(lambda: monitor.stats.queued == 4)
    monitor.close()
    system.remove("198.51.0.0/24")

    assert 1 == monitor.poll().sequence
    assert 2 == monitor.get().sequence
    assert [3] == [change.sequence for change in monitor.drain(1)]
    assert 4 == monitor.get(0).sequence
    assert monitor.poll() is None
    assert [] == monitor.drain()
    with pytest.raises(routenotify.MonitorClosed) as caught:
        monitor.get()
    assert 6 == caught.value.code
    assert "closed" in str(caught.value)


# ---- the descriptor ----


@pytest.mark.skipif(sys.platform == "win32", reason="wait_handle is Windows' way")
def test_fileno_is_readable_exactly_while_something_is_queued(system, open_monitor):
    """By poll, drain and get alike."""
    monitor = open_monitor()
    fd = monitor.fileno()

    assert not readable(fd)
    takers = [
        monitor.poll,
        lambda: monitor.get(30),
        lambda: monitor.drain(1),
        lambda: next(monitor),
    ]
    for i, take in enumerate(takers):
        system.add(f"198.51.{i}.0/24")
        system.add(f"198.52.{i}.0/24")
        rnlab.wait_for(lambda: monitor.stats.queued == 2)
        rnlab.wait_for(lambda: readable(fd))
        take()
        assert readable(fd)
        take()
        assert not readable(fd)
    assert fd == monitor.fileno()


@pytest.mark.skipif(sys.platform == "win32", reason="wait_handle is Windows' way")
def test_fileno_says_what_was_queued_before_it_was_asked_for(system, open_monitor):
    """Readable at once."""
    monitor = open_monitor()
    system.add(NET)
    rnlab.wait_for(lambda: monitor.stats.queued == 1)

    assert [monitor] == select.select([monitor], [], [], 0)[0]


@pytest.mark.skipif(sys.platform == "win32", reason="wait_handle is Windows' way")
def test_closing_makes_the_descriptor_readable(system, open_monitor):
    """An event loop learns of the end."""
    monitor = open_monitor()
    fd = monitor.fileno()
    monitor.close()

    assert [fd] == select.select([fd], [], [], 0)[0]
    with pytest.raises(routenotify.MonitorClosed, match="fileno"):
        monitor.fileno()


@pytest.mark.kernel
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has it")
def test_wait_handle_is_not_supported_elsewhere(open_monitor):
    """And the message names what to use."""
    monitor = open_monitor()

    with pytest.raises(routenotify.NotSupported, match="fileno") as caught:
        monitor.wait_handle  # noqa: B018 - it is a property
    assert 50 == caught.value.code


# ---- options ----


def test_initial_notification_is_the_first_change(system, open_monitor):
    """Type INITIAL, and no row."""
    monitor = open_monitor(initial_notification=True)
    system.add(NET)
    first = monitor.get(30)

    assert ChangeType.INITIAL is first.type
    assert first.destination is None
    assert socket.AF_UNSPEC == first.family
    assert () == first.key
    assert ChangeType.ADD is monitor.get(30).type
    with pytest.raises(routenotify.InvalidParameter):
        first.complete()


@pytest.mark.skipif(sys.platform == "win32", reason="the system filters there")
@pytest.mark.parametrize(
    ("family", "versions"), [(socket.AF_INET, {4}), (socket.AF_INET6, {6})]
)
def test_a_family_filters_the_rest(system, open_monitor, family, versions):
    """And counts it."""
    monitor = open_monitor(family)
    system.add(NET)
    system.add("2001:db8:1::/48")
    system.add(OTHER)
    rnlab.wait_for(lambda: monitor.stats.queued + monitor.stats.filtered == 3)

    assert versions == {change.destination.version for change in monitor.drain()}
    assert monitor.stats.filtered == 3 - monitor.stats.delivered


@pytest.mark.parametrize(("asked", "given"), [(2, 2), (3, 4), (100, 128), (4096, 4096)])
@pytest.mark.kernel
def test_capacity_is_rounded_up_to_a_power_of_two(open_monitor, asked, given):
    """And stats says to which."""
    assert given == open_monitor(capacity=asked).stats.capacity


@pytest.mark.kernel
def test_context_is_kept_and_collected(open_monitor):
    """Also when it refers to the monitor itself."""

    class Context:
        monitor = None

    assert open_monitor().context is None
    context = Context()
    monitor = RouteMonitor(context=context)
    context.monitor = monitor
    assert context is monitor.context
    monitor.close()
    gone = weakref.ref(monitor)
    del monitor, context
    gc.collect()

    assert gone() is None


@pytest.mark.kernel
def test_a_monitor_is_opened_once(open_monitor):
    """__init__ again would leak the first registration."""
    monitor = open_monitor()

    with pytest.raises(RuntimeError, match="once"):
        monitor.__init__()
    assert not monitor.closed


def test_a_monitor_that_was_never_opened_says_so():
    """Made by __new__ alone, or by a failed __init__."""
    monitor = RouteMonitor.__new__(RouteMonitor)

    for call in (monitor.poll, monitor.get, monitor.drain):
        with pytest.raises(routenotify.MonitorClosed, match="never opened"):
            call()
    with pytest.raises(routenotify.MonitorClosed, match="never opened"):
        rnlab.wait_object(monitor)
    for call in (monitor.snapshot, monitor.resync, lambda: monitor.stats):
        with pytest.raises(routenotify.MonitorClosed, match="never opened"):
            call()
    assert monitor.closed
    monitor.close()


def test_snapshot_option_delivers_the_table_first(system, open_monitor):
    """As ADD with cause "snapshot", then its end for those who ask."""
    system.add(NET)
    monitor = open_monitor(snapshot=True, markers=True)
    system.add(OTHER)
    rows = []
    while (change := monitor.get(30)).type is not ChangeType.SNAPSHOT_END:
        rows.append(change)

    assert {ChangeType.ADD} == {row.type for row in rows}
    assert {"snapshot"} == {row.cause for row in rows}
    assert NET in {str(row.destination) for row in rows}
    assert OTHER not in {str(row.destination) for row in rows}
    after = monitor.get(30)
    assert (OTHER, "system") == (str(after.destination), after.cause)


def test_snapshot_and_later_changes_make_the_later_table(system, open_monitor):
    """Those with a greater sequence; the earlier ones are in it."""
    monitor = open_monitor()
    system.add_many([f"198.51.{i}.0/24" for i in range(20)])
    rnlab.wait_for(lambda: monitor.stats.queued == 20)
    snapshot = monitor.snapshot()
    system.remove("198.51.3.0/24")
    system.add(OTHER)
    rnlab.wait_for(lambda: monitor.stats.queued == 22)

    table = snapshot.to_table()
    for change in monitor.drain():
        if change.sequence <= snapshot.sequence:
            assert change.key in table
        elif change.type is ChangeType.DELETE:
            del table[change.key]
        else:
            table[change.key] = change

    assert 20 == snapshot.sequence
    assert {"snapshot"} == {row.cause for row in snapshot}
    assert monitor.snapshot().to_table().keys() == table.keys()


def test_resync_has_told_its_end_when_it_returns(open_monitor):
    """It had returned a moment before."""
    monitor = open_monitor(markers=True)
    for _ in range(200):
        monitor.resync()

        last = [change.type for change in monitor.drain()][-1:]
        assert [ChangeType.RESYNC_END] == last


def test_resync_finds_no_difference_where_there_is_none(system, open_monitor):
    """And counts itself."""
    monitor = open_monitor(snapshot=True)
    monitor.drain()
    before = monitor.stats
    monitor.resync()

    assert monitor.poll() is None
    assert before.resyncs < monitor.stats.resyncs


def accounted(stats):
    """What became of all the changes."""
    return stats.filtered + stats.conflated + stats.queued + stats.delivered


@pytest.mark.skipif(sys.platform == "win32", reason="the system filters there")
def test_stats_add_up(system, open_monitor):
    """Received = filtered + conflated + queued + delivered, also when closed."""
    monitor = open_monitor(socket.AF_INET, capacity=2)
    system.add_many([f"198.51.{i}.0/24" for i in range(20)])
    system.add("2001:db8:1::/48")
    for i in range(10):
        system.remove(f"198.51.{i}.0/24")
    # The last one is counted first, then it is queued.
    rnlab.wait_for(lambda: monitor.stats.received == 31)
    rnlab.wait_for(lambda: accounted(monitor.stats) == 31)
    monitor.drain(5)
    stats = monitor.stats
    monitor.close()

    assert 31 == stats.received == accounted(stats)
    assert 1 == stats.filtered
    assert 5 == stats.delivered
    assert stats.conflated > 0
    assert 2 == stats.capacity
    assert 0 == stats.overruns == stats.kernel_drops == stats.malformed
    assert stats == monitor.stats
    assert "conflated=" in repr(stats)


# ---- bad arguments ----


@pytest.mark.parametrize("capacity", [0, 1, -1, -(2**70), 2**24 + 1, 2**40, 2**70])
def test_a_capacity_out_of_range_is_an_invalid_parameter(capacity):
    """The message has argument, value and range."""
    with pytest.raises(routenotify.InvalidParameter) as caught:
        RouteMonitor(capacity=capacity)

    assert f"capacity={capacity} is not between 2 and 16777216" in str(caught.value)
    assert 87 == caught.value.code


@pytest.mark.parametrize("option", ["capacity", "rcvbuf"])
@pytest.mark.parametrize("value", ["many", None, 1.5, True, b"2"])
def test_a_count_that_is_no_int_is_a_type_error(option, value):
    """The message has argument and value."""
    with pytest.raises(TypeError, match=rf"{option}=.*int expected"):
        RouteMonitor(**{option: value})


@pytest.mark.parametrize("rcvbuf", [0, -1, 2**31, 2**70])
def test_a_receive_buffer_out_of_range_is_an_invalid_parameter(rcvbuf):
    """SO_RCVBUF is a positive int."""
    with pytest.raises(routenotify.InvalidParameter, match=f"rcvbuf={rcvbuf} "):
        RouteMonitor(rcvbuf=rcvbuf)


@pytest.mark.parametrize("value", [3, "tcp", object])
def test_a_filter_that_is_none_is_a_type_error(value):
    """RouteFilter or None."""
    with pytest.raises(TypeError, match="RouteFilter or None expected"):
        RouteMonitor(filter=value)


def test_unknown_options_are_type_errors():
    """Also options by position."""
    with pytest.raises(TypeError, match="cpacity"):
        RouteMonitor(cpacity=2)
    with pytest.raises(TypeError):
        RouteMonitor(socket.AF_INET, True)


@pytest.mark.parametrize("timeout", [-1, -0.001, float("-inf"), -(10**400)])
@pytest.mark.kernel
def test_a_negative_timeout_is_an_invalid_parameter(open_monitor, timeout):
    """A ValueError, before anything is waited for."""
    with pytest.raises(routenotify.InvalidParameter) as caught:
        open_monitor().get(timeout)

    assert "get" == caught.value.call
    assert "timeout=-" in str(caught.value)


@pytest.mark.parametrize("timeout", [float("nan"), float("inf"), 1e10, 10**400])
@pytest.mark.kernel
def test_a_timeout_that_is_no_time_is_an_invalid_parameter(open_monitor, timeout):
    """NaN, and what would be for ever."""
    with pytest.raises(routenotify.InvalidParameter, match="timeout="):
        open_monitor().get(timeout=timeout)


@pytest.mark.kernel
def test_a_timeout_that_is_no_number_is_a_type_error(open_monitor):
    """The message has the value."""
    with pytest.raises(TypeError, match="timeout='soon'"):
        open_monitor().get("soon")


@pytest.mark.kernel
def test_drain_refuses_what_is_no_count(open_monitor):
    """Negative: ValueError; no int: TypeError; huge: as many as there are."""
    monitor = open_monitor()

    with pytest.raises(routenotify.InvalidParameter, match="max=-1 "):
        monitor.drain(-1)
    with pytest.raises(routenotify.InvalidParameter, match="max=-1"):
        monitor.drain(-(10**30))
    with pytest.raises(TypeError, match=r"max=1\.5"):
        monitor.drain(1.5)
    assert [] == monitor.drain(10**30)


@pytest.mark.kernel
def test_methods_refuse_arguments_they_do_not_have(open_monitor):
    """By position and by name."""
    monitor = open_monitor()

    with pytest.raises(TypeError, match="at most one"):
        monitor.get(1, 2)
    with pytest.raises(TypeError, match="'timeuot'"):
        monitor.get(timeuot=1)
    with pytest.raises(TypeError, match="at most one"):
        monitor.drain(1, max=2)


# ---- namespaces ----

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="Linux namespaces")


@linux_only
def test_netns_watches_another_namespace(netns, open_monitor):
    """Names, completion and tables are that namespace's."""
    other = netns.make_other()
    index = other.veth("far0", "192.0.2.1/24")
    monitor = open_monitor(netns=other.path)
    own = open_monitor()
    other.ip(f"route add {NET} dev far0")
    change = monitor.get(30)
    monitor.close()

    assert index == change.interface_index
    assert "far0" == change.interface
    assert "far0" == change.complete().interface
    assert NET in {str(r.destination) for r in routenotify.routes(netns=other.path)}
    assert NET not in {str(r.destination) for r in routenotify.routes()}
    best = routenotify.best_route("198.51.100.7", netns=other.path)
    assert NET == str(best.destination)
    assert own.poll() is None


@linux_only
def test_netns_takes_a_process_id(netns, open_monitor):
    """The namespace that process is in."""
    other = netns.make_other()
    other.veth("far0", "192.0.2.1/24")
    process = other.popen(["sleep", "600"])
    monitor = open_monitor(netns=process.pid)
    other.ip(f"route add {NET} dev far0")

    assert NET == str(monitor.get(30).destination)


class BytesPath:
    """A path in bytes."""

    def __init__(self, path):
        self._path = path

    def __fspath__(self):
        """The bytes."""
        return os.fsencode(self._path)


@linux_only
@pytest.mark.parametrize("kind", [os.fspath, Path, BytesPath])
def test_netns_takes_a_path_in_no_encoding(netns, open_monitor, tmp_path, kind):
    """A name is bytes to the system: such a one was a UnicodeEncodeError."""
    other = netns.make_other()
    other.veth("far0", "192.0.2.1/24")
    path = os.fsdecode(os.fsencode(tmp_path) + b"/n\xff")
    Path(path).symlink_to(other.path)
    monitor = open_monitor(netns=kind(path))
    other.ip(f"route add {NET} dev far0")

    assert NET == str(monitor.get(30).destination)
    assert NET in {str(r.destination) for r in routenotify.routes(netns=kind(path))}
    Path(path).unlink()
    with pytest.raises(routenotify.MonitorClosed):
        monitor.get(30)


@linux_only
@pytest.mark.parametrize(
    ("netns", "error", "code"),
    [
        ("no-such-namespace", routenotify.RouteNotifyError, 2),
        ("/no/such/file", routenotify.RouteNotifyError, 2),
        (2**30, routenotify.RouteNotifyError, 2),
        (0, routenotify.InvalidParameter, 87),
        (-1, routenotify.InvalidParameter, 87),
        ("", routenotify.InvalidParameter, 87),
        ("..", routenotify.InvalidParameter, 87),
        ("a\0b", routenotify.InvalidParameter, 87),
        ("/a\0b", routenotify.InvalidParameter, 87),
        ("/a\ud800b", routenotify.InvalidParameter, 87),
    ],
)
def test_a_namespace_that_is_none_is_an_error(netns, error, code):
    """The message has the value."""
    with pytest.raises(error) as caught:
        RouteMonitor(netns=netns)

    assert code == caught.value.code
    assert f"netns={netns!r}" in str(caught.value)


@linux_only
@pytest.mark.parametrize("netns", [1.5, True, b"name", object()])
def test_a_namespace_of_another_type_is_a_type_error(netns):
    """The message has the value."""
    with pytest.raises(TypeError, match="netns="):
        RouteMonitor(netns=netns)


@linux_only
@pytest.mark.kernel
def test_a_file_that_is_no_namespace_is_refused(tmp_path):
    """By the kernel, without a crash or a leaked descriptor."""
    path = tmp_path / "file"
    path.write_text("no namespace")

    with pytest.raises(routenotify.RouteNotifyError) as caught:
        RouteMonitor(netns=path)
    assert caught.value.code != 0


# ---- Ctrl-C and warnings ----


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise")
@pytest.mark.parametrize("wait", ["get", "next", "timeout"])
@pytest.mark.kernel
def test_a_signal_ends_the_wait_when_its_handler_raises(open_monitor, wait):
    """And the wait goes on when it does not."""
    monitor = open_monitor()
    count = 0
    main = threading.get_ident()
    stop = threading.Event()

    class InterruptedHereError(Exception):
        pass

    def handler(_number, _frame):
        nonlocal count
        count += 1
        if count == 3:
            raise InterruptedHereError

    def kick():
        while not stop.wait(0.02):
            signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handler)
    thread = threading.Thread(target=kick)
    thread.start()
    try:
        with pytest.raises(InterruptedHereError):
            {
                "get": monitor.get,
                "next": monitor.__next__,
                "timeout": lambda: monitor.get(60),
            }[wait]()
    finally:
        stop.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.kernel
def test_an_unclosed_monitor_warns_and_is_closed():
    """As a socket does."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        monitor = RouteMonitor()
        del monitor
        gc.collect()

    assert [ResourceWarning] == [warning.category for warning in caught]
    assert "unclosed <RouteMonitor open" in str(caught[0].message)
