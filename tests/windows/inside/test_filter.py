"""Filters in the system's callback: what is queued, what is counted, what fails."""

from __future__ import annotations

import pytest
from doublelab import ADD, DELETE, PARAMETER, Double, row

import routenotify
from routenotify import InvalidParameter, NotSupported, RouteFilter, RouteMonitor

INSIDE = RouteFilter(destinations="10.0.0.0/8", more_specific=True)


def names(monitor: RouteMonitor) -> list[tuple[str, str]]:
    """Type and destination of what is queued."""
    return [(one.type.name, str(one.destination)) for one in monitor.drain()]


def test_only_rows_that_match_are_queued(double: Double) -> None:
    """The rest is counted; changes of every type."""
    with RouteMonitor(filter=INSIDE) as monitor:
        for prefix in ("10.1.0.0/16", "11.0.0.0/8", "10.0.0.0/8", "fd00::/8"):
            for kind in (ADD, PARAMETER, DELETE):
                double.change(row(prefix), kind)

        assert [
            (kind, prefix)
            for prefix in ("10.1.0.0/16", "10.0.0.0/8")
            for kind in ("ADD", "PARAMETER", "DELETE")
        ] == names(monitor)
        assert (12, 6) == (monitor.stats.received, monitor.stats.filtered)


def test_snapshot_has_the_rows_that_match(double: Double) -> None:
    """At open and later."""
    double.set_table(row("10.1.0.0/16"), row("11.0.0.0/8"))
    with RouteMonitor(filter=INSIDE, snapshot=True) as monitor:
        assert [("ADD", "10.1.0.0/16")] == names(monitor)
        assert ["10.1.0.0/16"] == [str(one.destination) for one in monitor.snapshot()]


def test_interfaces_by_alias_and_by_number(double: Double) -> None:
    """A name is looked up when the monitor is opened."""
    double.set_table(row("10.1.0.0/16"))
    (route,) = routenotify.routes()
    assert route.interface is not None
    assert route.interface_index is not None
    wanted = {"10.2.0.0/16": route.interface, "10.4.0.0/16": route.interface_index}
    for prefix, interface in wanted.items():
        with RouteMonitor(filter=RouteFilter(interfaces=interface)) as monitor:
            double.change(row(prefix), ADD)
            assert [("ADD", prefix)] == names(monitor)
    with RouteMonitor(filter=~RouteFilter(interfaces=route.interface)) as monitor:
        double.change(row("10.3.0.0/16"), ADD)
        assert [] == names(monitor)


def test_an_unknown_alias_is_named(double: Double) -> None:
    """Whatever the system's own word for it."""
    with pytest.raises(InvalidParameter, match="interfaces='nosuch' does not exist"):
        RouteMonitor(filter=RouteFilter(interfaces="nosuch"))


@pytest.mark.parametrize("name", ["tables", "protocols", "route_types"])
def test_what_windows_does_not_say_cannot_be_asked_for(
    double: Double, name: str
) -> None:
    """Neither alone nor within an expression."""
    made = RouteFilter(destinations="10.0.0.0/8") | ~RouteFilter(**{name: 1})

    with pytest.raises(NotSupported, match=rf"{name}=.*Windows does not say"):
        RouteMonitor(filter=made)


def test_explain_says_that_the_callback_decides(double: Double) -> None:
    """There is nothing in the kernel to give a filter to."""
    text = INSIDE.explain()

    assert "in the kernel: nothing" in text
    assert "callback" in text
    assert "more_specific: 10.0.0.0/8" in text
