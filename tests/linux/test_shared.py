"""Monitors of one namespace share a reader and a mirror, and nothing else."""

from __future__ import annotations

import contextlib
import threading

import pytest
import rnlab

import routenotify

COUNT = 2000


def test_twenty_monitors_have_one_reader(netns):
    """One thread more than without any, and one comparison for all of them."""
    netns.veth("v0", "192.0.2.1/24")
    before = threading.active_count()
    rnlab.wait_for_threads(before, "earlier readers are gone")
    with contextlib.ExitStack() as opened:
        monitors = [opened.enter_context(routenotify.RouteMonitor()) for _ in range(20)]
        assert before + 1 == rnlab.threads()
        compared = monitors[0].stats.resyncs
        monitors[0].resync()
        assert compared + 2 == monitors[-1].stats.resyncs  # IPv4 and IPv6
        netns.ip("route add 20.0.0.0/24 dev v0")
        assert {"20.0.0.0/24"} == {str(one.get(20).destination) for one in monitors}
        for monitor in monitors[1:]:
            monitor.close()
        assert before + 1 == rnlab.threads()

    rnlab.wait_for_threads(before, "end of the reader")


@pytest.mark.parametrize("first", ["slow", "fast"])
def test_monitor_that_is_never_read_slows_nobody(netns, first):
    """Beside it, whichever was opened first, nothing is merged and nothing missing."""
    netns.veth("v0", "192.0.2.1/24")
    capacity = {"slow": 2, "fast": 1 << 14}
    order = sorted(capacity, key=lambda name: name != first)
    with contextlib.ExitStack() as opened:
        monitors = {
            name: opened.enter_context(
                routenotify.RouteMonitor(capacity=capacity[name], rcvbuf=64 << 20)
            )
            for name in order
        }
        routes = [f"20.{n >> 8}.{n & 255}.0/24" for n in range(COUNT)]
        for verb in ("add", "del"):
            netns.batch(f"route {verb} {one} dev v0" for one in routes)
        monitors["fast"].resync()
        changes = monitors["fast"].drain()
        fast, slow = monitors["fast"].stats, monitors["slow"].stats
        kept = monitors["slow"].drain()

    assert [("ADD", one) for one in routes] + [("DELETE", one) for one in routes] == [
        (change.type.name, str(change.destination)) for change in changes
    ]
    assert list(range(1, 2 * COUNT + 1)) == [change.sequence for change in changes]
    assert (0, 0, 0) == (fast.conflated, fast.overruns, fast.kernel_drops)
    assert slow.conflated > 0
    assert 2 * COUNT == slow.received - slow.filtered == len(kept) + slow.conflated
