"""Every function of iphlpapi, failing in every documented way."""

from __future__ import annotations

import gc
import socket

import pytest
import rnlab
from doublelab import (
    ADD,
    DELETE,
    INDEX_1,
    LUID_2,
    Api,
    Double,
    check_error,
    row,
)

import routenotify

TABLE_CODES = [5, 8, 50, 87, 1450]


@pytest.mark.parametrize("code", TABLE_CODES)
def test_table_error(double: Double, code: int) -> None:
    """routes() raises it, whole."""
    double.inject(Api.TABLE, code)
    with pytest.raises(routenotify.RouteNotifyError) as caught:
        routenotify.routes()

    check_error(caught.value, code, "GetIpForwardTable2")
    assert routenotify.routes() == []


@pytest.mark.parametrize("code", TABLE_CODES)
def test_snapshot_at_open_error_leaves_no_registration(
    double: Double, code: int
) -> None:
    """A half-opened monitor is closed again."""
    double.inject(Api.TABLE, code)
    with pytest.raises(routenotify.RouteNotifyError) as caught:
        routenotify.RouteMonitor(snapshot=True)

    check_error(caught.value, code, "GetIpForwardTable2")
    assert double.stats.live == 0


@pytest.mark.parametrize("code", TABLE_CODES)
def test_resync_and_snapshot_error_leave_the_monitor_usable(
    double: Double, code: int
) -> None:
    """The next attempt finds what the failed one did not."""
    double.set_table(row("10.0.0.0/8"))
    with routenotify.RouteMonitor() as monitor:
        double.inject(Api.TABLE, code)
        with pytest.raises(routenotify.RouteNotifyError) as caught:
            monitor.snapshot()
        check_error(caught.value, code, "GetIpForwardTable2")
        assert len(monitor.snapshot()) == 1
        double.change_silently(row("10.1.0.0/16"), ADD)
        double.inject(Api.TABLE, code)
        with pytest.raises(routenotify.RouteNotifyError) as caught:
            monitor.resync()
        check_error(caught.value, code, "GetIpForwardTable2")
        monitor.resync()
        names = [str(change.destination) for change in monitor.drain()]

    assert names == ["10.1.0.0/16"]


@pytest.mark.parametrize(
    ("code", "raised"),
    [(1168, 1168), (2, 1168), (50, 50), (87, 87), (8, 8), (5, 5), (1450, 1450)],
)
def test_entry_error(double: Double, code: int, raised: int) -> None:
    """An interface that is gone (2) is a route that is gone (1168)."""
    with routenotify.RouteMonitor() as monitor:
        double.change(row("10.0.0.0/8"), ADD)
        change = monitor.get(30)
        double.inject(Api.ENTRY, code)
        with pytest.raises(routenotify.RouteNotifyError) as caught:
            change.complete()

    check_error(caught.value, raised, "GetIpForwardEntry2")
    assert isinstance(caught.value, LookupError) == (raised == 1168)


def test_entry_of_an_interface_that_is_gone(double: Double) -> None:
    """The real function says 2; here it is "not found"."""
    with routenotify.RouteMonitor() as monitor:
        double.tell(row("10.0.0.0/8", luid=0x123456789, index=99), ADD)
        with pytest.raises(routenotify.RouteNotFound):
            monitor.get(30).complete()


@pytest.mark.parametrize("code", [2, 8, 50, 87, 1168, 1231, 1232])
def test_best_route_error(double: Double, code: int) -> None:
    """With its code; 2, 1168, 1231 and 1232 all are "no route"."""
    double.inject(Api.BEST, code)
    with pytest.raises(routenotify.RouteNotifyError) as caught:
        routenotify.best_route("192.0.2.1")

    check_error(caught.value, 1168 if code == 2 else code, "GetBestRoute2")
    not_found = isinstance(caught.value, routenotify.RouteNotFound)
    assert not_found == (code in (2, 1168, 1231, 1232))


def test_best_route(double: Double) -> None:
    """The longest prefix, its interface's metric, and the source address.

    The alias that `Route.interface` gives was refused as an interface to go through.
    """
    double.set_table(
        row("0.0.0.0/0", "192.0.2.1", Metric=0),
        row("10.0.0.0/8", "192.0.2.2", luid=LUID_2, index=12, Metric=5),
        row("fd00::/8", "fe80::1"),
    )
    route = routenotify.best_route("10.9.9.9")

    assert str(route.destination) == "10.0.0.0/8"
    assert (route.metric, route.effective_metric) == (5, 55)
    assert str(route.preferred_source) == "192.0.2.1"
    assert route.interface == "Łącze 网络 🚀"
    assert str(routenotify.best_route("fd00::1").next_hop) == "fe80::1"
    for interface in (INDEX_1, "Ethernet 2"):
        through = routenotify.best_route("10.9.9.9", interface=interface)
        assert str(through.destination) == "0.0.0.0/0"
    for interface in ("Ethernet 9", ""):
        with pytest.raises(routenotify.InvalidParameter, match="does not exist"):
            routenotify.best_route("10.9.9.9", interface=interface)
    with pytest.raises(routenotify.RouteNotFound) as caught:
        routenotify.best_route("2001:db8::1")
    assert caught.value.code == 1231


@pytest.mark.parametrize("code", [2, 8, 87])
def test_interface_that_cannot_be_named_is_none(double: Double, code: int) -> None:
    """A name is a nicety: no exception out of an attribute."""
    with routenotify.RouteMonitor() as monitor:
        double.tell(row("10.0.0.0/8"), ADD)
        change = monitor.get(30)
        double.inject(Api.ALIAS, code)

        assert change.interface is None
        assert change.interface == "Ethernet 2"


def test_interface_without_a_luid_is_named_by_its_index(double: Double) -> None:
    """Seen in the field: LUID 0, index set."""
    with routenotify.RouteMonitor() as monitor:
        double.tell(row("10.0.0.0/8", luid=0, index=12), ADD)
        change = monitor.get(30)

        assert change.interface == "Łącze 网络 🚀"
        double.inject(Api.LUID, 2)
        assert change.interface is None


def test_interface_metric_error_means_unknown(double: Double) -> None:
    """The route is delivered all the same."""
    double.set_table(row("10.0.0.0/8", Metric=3))
    assert routenotify.routes()[0].effective_metric == 28
    double.inject(Api.METRIC, 2)

    assert routenotify.routes()[0].effective_metric is None


def test_link_local_next_hop_is_completed_with_or_without_scope(
    double: Double,
) -> None:
    """The record has no scope id, which may be part of the system's key."""
    for scope_id in (0, INDEX_1, 4711):
        route = row("fd00::/64", "fe80::1", scope_id=scope_id, Metric=9)
        with routenotify.RouteMonitor() as monitor:
            double.change(route, ADD)

            assert monitor.get(30).complete().metric == 9
        double.change(route, DELETE)


@pytest.mark.leaks(1)
@pytest.mark.parametrize("code", [6, 87, 8, 1168])
def test_failed_cancel_leaks_and_is_counted(double: Double, code: int) -> None:
    """The system may still call: what it calls stays, and touches nothing."""
    leaked = routenotify.RouteMonitor()
    other = routenotify.RouteMonitor()
    before = other.stats.leaked
    double.inject(Api.CANCEL, code)
    with pytest.raises(routenotify.RouteNotifyError) as caught:
        leaked.close()
    delivered = leaked.stats.received
    # What a freed registration would have become, if it had been freed.
    later = [routenotify.RouteMonitor() for _ in range(32)]
    double.fire(1000)

    assert [monitor.stats.received for monitor in later] == [1000] * 32
    for monitor in later:
        monitor.close()
    check_error(caught.value, code, "CancelMibChangeNotify2")
    assert leaked.closed
    assert leaked.stats.received == delivered
    assert other.stats.leaked == before + 1
    assert other.stats.received == 1000
    leaked.close()
    del leaked
    gc.collect()
    double.fire(1000)
    other.close()


@pytest.mark.leaks(50)
def test_failed_cancel_keeps_the_registration_only(double: Double) -> None:
    """A word that says "silent": its queue, its event and its timer had stayed too."""
    before = rnlab.open_handles()
    for _ in range(50):
        monitor = routenotify.RouteMonitor()
        assert monitor.wait_handle
        double.inject(Api.CANCEL, 6)
        with pytest.raises(routenotify.RouteNotifyError):
            monitor.close()
        del monitor
        gc.collect()
    double.fire(100)

    assert rnlab.open_handles() - before <= rnlab.STRAY_HANDLES


def test_row_of_an_unknown_family_is_counted_not_delivered(double: Double) -> None:
    """A row that cannot be understood is no reason to guess."""
    bad_family = row("10.0.0.0/8")
    bad_family.Destination.family = 44
    bad_length = row("10.0.0.0/8")
    bad_length.PrefixLength = 33
    with routenotify.RouteMonitor() as monitor:
        double.tell(bad_family, ADD)
        double.tell(bad_length, ADD)
        double.tell(row("10.0.0.0/8"), ADD)

        assert len(monitor.drain()) == 1
        assert monitor.stats.malformed == 2


def test_netns_is_not_for_windows(double: Double) -> None:
    """It says so instead of watching the wrong network."""
    for netns in ("blue", 1, "/proc/1/ns/net"):
        with pytest.raises(routenotify.NotSupported):
            routenotify.RouteMonitor(socket.AF_INET, netns=netns)

    assert double.stats.live == 0
