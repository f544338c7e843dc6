"""complete() among rows that differ in nothing but their ordinal and attributes."""

from __future__ import annotations

import pytest

import routenotify
from routenotify import ChangeType

pytestmark = pytest.mark.kernel

NET = "10.9.0.0/16"


@pytest.fixture
def monitor(netns):
    """A monitor, and a device to route through."""
    netns.veth("v0", "10.1.0.1/24", "2001:db8::1/64")
    with routenotify.RouteMonitor() as opened:
        yield opened


def added(monitor, count):
    """The rows that came for NET, by protocol."""
    rows = {}
    while len(rows) < count:
        change = monitor.get(30)
        if str(change.destination) == NET and change.type == ChangeType.ADD:
            rows[change.protocol] = change
    return rows


def rows_of(protocol):
    """The system's rows of NET with a protocol, in its order."""
    rows = routenotify.routes()
    return [
        row for row in rows if (str(row.destination), row.protocol) == (NET, protocol)
    ]


def test_complete_when_an_equal_row_before_it_went_then_it_is_found(netns, monitor):
    """An ordinal is a label for life: it does not count the rows of a dump.

    It was taken for that count, so the row that was left could not be found.
    """
    netns.ip(f"route add {NET} via 10.1.0.2 proto static")
    netns.ip(f"route append {NET} via 10.1.0.2 proto bird")
    rows = added(monitor, 2)
    netns.ip(f"route del {NET} via 10.1.0.2 proto static")
    bird = rows[12]

    assert 12 == bird.complete().protocol
    assert bird.key == bird.complete().key
    assert 12 == bird.complete().complete().protocol


def test_complete_when_an_equal_row_came_before_it_then_each_finds_itself(
    netns, monitor
):
    """Prepended entries stand before older ones; the other one was returned."""
    netns.ip(f"route add {NET} via 10.1.0.2 proto static")
    netns.ip(f"route prepend {NET} via 10.1.0.2 proto bird")
    netns.ip(f"route append {NET} via 10.1.0.2 proto bgp mtu 1300")
    netns.ip(f"route append {NET} via 10.1.0.2 proto bgp mtu 1400")
    rows = added(monitor, 3)
    mtus = [row.complete().mtu for row in rows_of(186)]

    assert [4, 12, 186] == [rows[at].complete().protocol for at in (4, 12, 186)]
    assert [1300, 1400] == mtus


def test_complete_when_the_row_changed_then_it_says_what_it_is_now(netns, monitor):
    """A row that no other is like is found whatever became of its attributes."""
    netns.ip(f"route add {NET} via 10.1.0.2 proto static mtu 1300")
    (row,) = added(monitor, 1).values()
    netns.ip(f"route replace {NET} via 10.1.0.2 proto bird mtu 1400")

    assert (12, 1400) == (row.complete().protocol, row.complete().mtu)
